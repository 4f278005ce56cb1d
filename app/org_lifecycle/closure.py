"""Closing an org for good. Its rows stay for the history; it leaves its superior, and nothing waits for it any more."""

from typing import Any

from sqlalchemy import func, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.certification.edges import end_edge
from app.certification.trace import record_on_each
from app.core.db import on_constraint
from app.core.etags import require_version
from app.hierarchy import tree
from app.orgs.errors import OrgHasSubordinates
from app.orgs.locks import lock_orgs_for_edit
from app.schema.certification import Certification
from app.schema.orgs import Org

REASON = "该组织已关闭 · The organisation was closed"

_END_WAITING = tuple(
    map(
        text,
        (
            "UPDATE invitations SET revoked_at = clock_timestamp() WHERE org_id = :org_id AND revoked_at IS NULL",
            "UPDATE certifications SET state = 'withdrawn', decided_at = clock_timestamp(), decided_by = :user_id "
            "WHERE subordinate_id = :org_id AND state = 'applied'",
            "UPDATE change_requests SET state = 'withdrawn', decided_at = clock_timestamp(), decided_by = :user_id "
            "WHERE org_id = :org_id AND state = 'asked'",
            "UPDATE admin_invitations SET state = 'withdrawn', decided_at = clock_timestamp(), phone_cipher = NULL "
            "WHERE org_id = :org_id AND state = 'invited'",
            "UPDATE promotions SET state = 'withdrawn', decided_at = clock_timestamp(), phone_cipher = NULL "
            "WHERE org_id = :org_id AND state = 'offered'",
            "UPDATE link_requests SET state = 'expired', decided_at = clock_timestamp(), name_key = NULL, "
            "pinyin = NULL WHERE org_id = :org_id AND state = 'asked'",
            "UPDATE person_transfers SET state = 'lapsed', decided_at = clock_timestamp() "
            "WHERE (org_id = :org_id OR to_id = :org_id) AND state = 'asked'",
            "UPDATE transfers SET state = 'lapsed', decided_at = clock_timestamp() "
            "WHERE to_id = :org_id AND state IN ('asked', 'released')",
        ),
    )
)


async def close_org(db: AsyncConnection, scope: OrgScope, version: int | None) -> None:
    """Close the org. Raises EditedMeanwhile, OrgHasSubordinates, OrgClosed."""
    await tree.lock_hierarchy(db)
    org = (await lock_orgs_for_edit(db, scope, exclusive=True))[scope.org_id]
    require_version(org.version, version)
    superior_id = await tree.find_superior_id(db, scope.org_id)
    released = await end_edge(db, scope.org_id)
    if released is not None and superior_id is not None:
        before = {"superior_id": str(superior_id), "subordinate_id": str(scope.org_id)}
        subject = ("certification", released)
        await record_on_each(db, scope, "certification.released", superior_id, subject=subject, before=before)
    with on_constraint(("orgs_closed_alone", OrgHasSubordinates)):
        await db.execute(
            update(Org)
            .where(Org.id == scope.org_id)
            .values(status="closed", closed_at=func.clock_timestamp(), version=Org.version + 1)
        )
    await _refuse_applicants(db, scope)
    for statement in _END_WAITING:
        named: dict[str, Any] = {"org_id": scope.org_id, "user_id": scope.user.user_id}
        await db.execute(statement, {name: named[name] for name in statement.compile().params})
    await record(db, scope.actor, "org.closed", org_id=scope.org_id, subject=("org", scope.org_id))


async def _refuse_applicants(db: AsyncConnection, scope: OrgScope) -> None:
    refused = await db.execute(
        update(Certification)
        .where(Certification.superior_id == scope.org_id, Certification.state == "applied")
        .values(state="refused", decided_at=func.clock_timestamp(), decided_by=scope.user.user_id, reason=REASON)
        .returning(Certification.id, Certification.subordinate_id)
    )
    for row in refused.all():
        after = {"superior_id": str(scope.org_id), "subordinate_id": str(row.subordinate_id), "reason": REASON}
        subject = ("certification", row.id)
        await record_on_each(db, scope, "application.refused", row.subordinate_id, subject=subject, after=after)
