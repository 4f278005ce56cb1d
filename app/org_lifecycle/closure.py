"""Closing an org. A closed org cannot be opened again. Its rows stay in the tables for the history. Its certification
ends, and all pending requests from it and to it end.
"""

from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.kinds import LINK_REQUEST
from app.approvals.reasons import ORG_CLOSED
from app.approvals.requests import EndedRequest, decline_requests_to_org, withdraw_requests_of_org
from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.certification.audit import record_for_each_org
from app.certification.edges import end_edge
from app.database.db import on_constraint
from app.hierarchy import tree
from app.members.links.queries import list_matching_request_ids
from app.orgs.errors import OrgHasSubordinates
from app.orgs.locks import lock_orgs_for_edit
from app.schema.certification import Invitation
from app.schema.orgs import Org
from app.web.etags import require_version


async def close_org(db: AsyncConnection, scope: OrgScope, version: int | None) -> None:
    """Close the scope's org: end its certification, revoke its invitations, withdraw its requests and decline the
    requests to it.

    Locks the hierarchy, then the org FOR UPDATE. Raises EditedMeanwhile, OrgHasSubordinates, OrgClosed, Forbidden.
    """
    await tree.lock_hierarchy(db)
    org = (await lock_orgs_for_edit(db, scope, exclusive=True))[scope.org_id]
    require_version(org.version, version)
    superior_id = await tree.find_superior_id(db, scope.org_id)
    ended = await end_edge(db, scope, scope.org_id)
    if ended is not None and superior_id is not None:
        before = {"superior_id": str(superior_id), "subordinate_id": str(scope.org_id)}
        subject = ("certification", ended)
        await record_for_each_org(db, scope, "certification.ended", superior_id, subject=subject, before=before)
    with on_constraint(("orgs_closed_alone", OrgHasSubordinates)):
        await db.execute(
            update(Org)
            .where(Org.id == scope.org_id)
            .values(status="closed", closed_at=func.clock_timestamp(), version=Org.version + 1)
        )
    await db.execute(
        update(Invitation)
        .where(Invitation.org_id == scope.org_id, Invitation.revoked_at.is_(None))
        .values(revoked_at=func.clock_timestamp())
    )
    await withdraw_requests_of_org(db, scope.org_id, scope.actor)
    fitting = await list_matching_request_ids(db, scope.org_id)
    for declined in await decline_requests_to_org(db, scope.org_id, scope.user.user_id, ORG_CLOSED):
        # Only the requester can see a link request that matches no member row, so it has no audit entry.
        if declined.kind is not LINK_REQUEST or declined.id in fitting:
            await _record_declined(db, scope, declined)
    await record(db, scope.actor, "org.closed", org_id=scope.org_id, subject=("org", scope.org_id))


async def _record_declined(db: AsyncConnection, scope: OrgScope, declined: EndedRequest) -> None:
    """Record the declined request for every org that it names, as a decision does."""
    after = {column: str(org_id) for column, org_id in declined.orgs.items()} | {"reason": ORG_CLOSED}
    action = f"{declined.kind.noun}.declined"
    subject = (declined.kind.subject, declined.id)
    await record_for_each_org(db, scope, action, *declined.orgs.values(), subject=subject, after=after)
