"""Writes of requests to be removed: a user asks, an admin of the org accepts or declines.

An acceptance removes the row by the function that removing by hand uses. The account and its points do not change.
"""

from uuid import UUID

from sqlalchemy import ColumnElement, and_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.kinds import REMOVAL_REQUEST
from app.approvals.requests import (
    Decision,
    create_request,
    decide_request,
    require_repeated,
)
from app.approvals.user_requests import withdraw_user_request
from app.audit_log.entries import record
from app.authz.access import OrgScope, UserScope
from app.members.links.operations import lock_named_org
from app.members.links.schemas import NamedOrg
from app.members.locks import lock_member
from app.members.operations import remove_member
from app.members.removals.errors import AdminMustResign, NotInDirectory, RemovalRequestDecided, RemovalRequestOpen
from app.members.removals.queries import get_requested_removal
from app.orgs.locks import lock_org_shared
from app.schema.admins import OrgAdmin
from app.schema.approvals import State
from app.schema.members import Member
from app.schema.own_rows import RemovalRequest
from app.web.errors import NotFound


async def create_removal_request(db: AsyncConnection, user: UserScope, org_id: UUID) -> UUID:
    """Ask an org to remove the user's row from its directory. Return the request's id.

    Locks the org FOR KEY SHARE, then the row FOR SHARE. Raises UnknownOrg, NotInDirectory, AdminMustResign,
    RemovalRequestOpen.
    """
    await lock_named_org(db, NamedOrg(org_id=org_id))
    own = select(Member.id).where(Member.org_id == org_id, Member.user_id == user.user_id)
    member_id: UUID | None = await db.scalar(own.with_for_update(read=True))
    if member_id is None:
        raise NotInDirectory
    await require_not_own_admin(db, org_id, user.user_id)
    opened = {"org_id": org_id, "user_id": user.user_id, "member_id": member_id}
    request_id = await create_request(db, REMOVAL_REQUEST, RemovalRequestOpen, **opened)
    actor, subject = user.actor.get_actor_for_other_org(), ("removal_request", request_id)
    await record(db, actor, "removal_request.created", org_id=org_id, subject=subject)
    return request_id


async def require_not_own_admin(db: AsyncConnection, org_id: UUID, user_id: UUID) -> None:
    """Raise AdminMustResign if the user administers the org."""
    admin = select(OrgAdmin.user_id).where(OrgAdmin.org_id == org_id, OrgAdmin.user_id == user_id)
    if await db.scalar(admin) is not None:
        raise AdminMustResign


async def withdraw_removal_request(db: AsyncConnection, user: UserScope, request_id: UUID) -> None:
    """Withdraw the user's own request. Raises NotFound, RemovalRequestDecided."""
    await withdraw_user_request(db, user, REMOVAL_REQUEST, request_id, RemovalRequestDecided)


async def accept_removal_request(db: AsyncConnection, scope: OrgScope, request_id: UUID) -> None:
    """Remove the person from the directory, and accept the request.

    Locks the org FOR KEY SHARE, then the row. Raises NotFound, RemovalRequestDecided, MemberIsAdmin.
    """
    await lock_org_shared(db, scope)
    requested = await get_requested_removal(db, scope.org_id, request_id)
    decision = _build_decision(scope, State.ACCEPTED, request_id)
    # The row may be removed or unlinked before it is locked, so the request is read again.
    if not (
        requested.is_waiting
        and await _is_row_locked(db, scope, requested.member_id)
        and (await get_requested_removal(db, scope.org_id, request_id)).is_waiting
    ):
        await require_repeated(db, decision)
        return
    await decide_request(db, decision, scope.user.user_id)  # the user may have withdrawn it meanwhile
    await remove_member(db, scope, requested.member_id, None)
    subject, after = ("removal_request", request_id), {"member_id": str(requested.member_id)}
    await record(db, scope.actor, "removal_request.accepted", org_id=scope.org_id, subject=subject, after=after)


async def _is_row_locked(db: AsyncConnection, scope: OrgScope, member_id: UUID) -> bool:
    """Lock the row. Return False if another transaction has removed it."""
    try:
        await lock_member(db, scope.org_id, member_id, None)
    except NotFound:
        return False
    return True


def _build_decision(scope: OrgScope, state: State, request_id: UUID, *same: ColumnElement[bool]) -> Decision:
    received = (RemovalRequest.org_id == scope.org_id, RemovalRequest.id == request_id)
    return Decision(REMOVAL_REQUEST, state, received, RemovalRequestDecided, repeated=and_(true(), *same))


async def refuse_removal_request(db: AsyncConnection, scope: OrgScope, request_id: UUID, reason: str) -> None:
    """Decline a request with a reason that the user reads. Raises NotFound, RemovalRequestDecided."""
    await lock_org_shared(db, scope)
    requested = await get_requested_removal(db, scope.org_id, request_id)
    decision = _build_decision(scope, State.DECLINED, request_id, RemovalRequest.reason == reason)
    if not requested.is_waiting:
        await require_repeated(db, decision)
        return
    if not await decide_request(db, decision, scope.user.user_id, reason=reason):
        return
    after, subject = {"reason": reason}, ("removal_request", request_id)
    await record(db, scope.actor, "removal_request.declined", org_id=scope.org_id, subject=subject, after=after)
