"""Closing an org (S20). It waits for the main admin's consent, and can be undone for 7 days (`closing_reversal`).

The org's rows stay in the tables for the history. Its certification ends, and all pending requests from it and to it
end.
"""

from uuid import UUID

from sqlalchemy import Uuid, bindparam, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.kinds import CLOSURE, LINK_REQUEST
from app.approvals.reasons import ORG_CLOSED
from app.approvals.requests import (
    EndedRequest,
    create_request,
    decline_requests_to_org,
    finish_request,
    withdraw_requests_of_org,
)
from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.certification.audit import record_for_each_org
from app.certification.edges import end_edge
from app.database.db import on_constraint
from app.hierarchy import tree
from app.members.links.queries import list_matching_request_ids
from app.messages.delivery import add_message_to_admins
from app.messages.kinds import MessageKind
from app.orgs.errors import ClosureOpen, OrgHasSubordinates
from app.orgs.locks import lock_orgs, lock_orgs_for_edit
from app.schema.approvals import CertificationState, State
from app.schema.certification import Certification, Invitation
from app.schema.orgs import Closure, Org
from app.web.etags import ReadVersion, require_version

_HAS_SUBORDINATES = select(
    exists().where(
        Certification.superior_id == bindparam("org_id", type_=Uuid()), Certification.state == CertificationState.LIVE
    )
)


async def request_closing(db: AsyncConnection, scope: OrgScope, version: ReadVersion) -> bool:
    """Close the scope's org if the caller is its main admin; else ask the main admin to close it. Return whether it is
    closed.

    A repeated call changes nothing, whatever the version: the main admin finds the org closed, another admin finds the
    request of the org's admins pending. Locks the hierarchy, then the org FOR UPDATE. Raises EditedMeanwhile,
    OrgHasSubordinates, OrgClosed, Forbidden.
    """
    await tree.lock_hierarchy(db)
    org = (await lock_orgs(db, scope.org_id, exclusive=True))[scope.org_id]
    is_main_admin = org.main_admin_id == scope.user.user_id
    if org.status == "closed" and is_main_admin:
        return True
    await lock_orgs_for_edit(db, scope, exclusive=True)
    is_pending = select(exists().where(Closure.org_id == scope.org_id, CLOSURE.waiting))
    if not is_main_admin and await db.scalar(is_pending):
        return False
    require_version(org.version, version)
    if is_main_admin:
        await _accept_closure(db, scope, await tree.find_superior_id(db, scope.org_id))
        await close_org(db, scope, MessageKind.ORG_CLOSED)
        return True
    await require_no_subordinates(db, scope.org_id)
    values = {"org_id": scope.org_id, "requested_by": scope.user.user_id}
    request_id = await create_request(db, CLOSURE, ClosureOpen, **values)  # none is open while the org's row is locked
    await record(db, scope.actor, "closure.created", org_id=scope.org_id, subject=("closure", request_id))
    return False


async def require_no_subordinates(db: AsyncConnection, org_id: UUID) -> None:
    """Raise OrgHasSubordinates if the org has a subordinate now."""
    if await db.scalar(_HAS_SUBORDINATES, {"org_id": org_id}):
        raise OrgHasSubordinates


async def close_org(db: AsyncConnection, scope: OrgScope, message: MessageKind) -> None:
    """End the certification of the scope's org, revoke its invitations, withdraw its requests, decline the requests to
    it, and close it. Its admins get the message.

    The caller has locked the hierarchy, then the org FOR UPDATE. Raises OrgHasSubordinates.
    """
    superior_id = await tree.find_superior_id(db, scope.org_id)
    ended = await end_edge(db, scope, scope.org_id)
    if ended is not None and superior_id is not None:
        before = {"superior_id": str(superior_id), "subordinate_id": str(scope.org_id)}
        subject = ("certification", ended)
        after = {"cause": "org-closed"}
        await record_for_each_org(
            db, scope, "certification.ended", superior_id, subject=subject, before=before, after=after
        )
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
    user_id = scope.user.user_id
    await add_message_to_admins(db, scope.org_id, message, actor_id=user_id)
    if superior_id is not None:
        kind = MessageKind.SUBORDINATE_CLOSED
        await add_message_to_admins(db, superior_id, kind, actor_id=user_id, named_id=scope.org_id)
    await record(db, scope.actor, "org.closed", org_id=scope.org_id, subject=("org", scope.org_id))


async def _accept_closure(db: AsyncConnection, scope: OrgScope, superior_id: UUID | None) -> None:
    """Accept the pending closure of the org, or insert an accepted one if an admin has not requested it."""
    user_id, condition = scope.user.user_id, Closure.org_id == scope.org_id
    if await finish_request(db, CLOSURE, State.ACCEPTED, condition, by=user_id, superior_id=superior_id):
        return
    await db.execute(
        insert(Closure).values(
            org_id=scope.org_id,
            state=State.ACCEPTED,
            requested_by=user_id,
            decided_by=user_id,
            superior_id=superior_id,
            expires_at=func.now(),
            decided_at=func.clock_timestamp(),
        )
    )


async def _record_declined(db: AsyncConnection, scope: OrgScope, declined: EndedRequest) -> None:
    """Record the declined request for every org that it names, as a decision does."""
    after = {column: str(org_id) for column, org_id in declined.orgs.items()} | {"reason": ORG_CLOSED}
    action = f"{declined.kind.noun}.declined"
    subject = (declined.kind.subject, declined.id)
    await record_for_each_org(db, scope, action, *declined.orgs.values(), subject=subject, after=after)
