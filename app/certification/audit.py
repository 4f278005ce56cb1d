"""Audit entries of an action that concerns several orgs."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.authz.access import OrgScope


async def record_for_each_org(
    db: AsyncConnection,
    scope: OrgScope,
    action: str,
    *other_ids: UUID,
    subject: tuple[str, UUID],
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Record one action for the scope's org and for the other orgs: one audit entry for each org.

    Only the entry of the scope's org names the actor.
    """
    for org_id in dict.fromkeys((scope.org_id, *other_ids)):
        actor = scope.actor if org_id == scope.org_id else scope.actor.get_actor_for_other_org()
        await record(db, actor, action, org_id=org_id, subject=subject, before=before, after=after)
