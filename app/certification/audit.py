"""What one org does that is also the other's business leaves its trace on both."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.authz.access import OrgScope


async def record_on_each(
    db: AsyncConnection,
    scope: OrgScope,
    action: str,
    *other_ids: UUID,
    subject: tuple[str, UUID],
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """One act on several orgs: each has its entry, and only the actor's own org learns who acted."""
    for org_id in dict.fromkeys((scope.org_id, *other_ids)):
        actor = scope.actor if org_id == scope.org_id else scope.actor.elsewhere()
        await record(db, actor, action, org_id=org_id, subject=subject, before=before, after=after)
