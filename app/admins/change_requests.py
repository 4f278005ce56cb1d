"""Requests for a change that needs the superior's consent (S4, S5): a rename, a hand-over, a recovery.

The org's superior at the time of the decision decides (`change_decisions`). For an org without a superior, a rename and
a hand-over take effect at once, and the platform operator decides on a recovery.
"""

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.admins.change_decisions import accept_change, get_change
from app.admins.errors import (
    AlreadyMainAdmin,
    ChangeRequestDecided,
    ChangeRequestExpired,
    ChangeRequestOpen,
    ChangeRequestStale,
    MainAdminOnly,
    MainAdminStays,
    NameUnchanged,
    NotAnAdmin,
    SoleAdmin,
)
from app.admins.schemas import ChangeRequestCreate, HandOverCreate, RecoveryCreate, RenameCreate
from app.approvals.kinds import CHANGE_REQUEST
from app.approvals.requests import create_request, withdraw_request
from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.hierarchy import tree
from app.orgs import names
from app.orgs.errors import SiblingNameTaken
from app.orgs.locks import LockedOrg, lock_orgs_for_edit
from app.orgs.names import Kind
from app.schema.admins import ChangeRequest, OrgAdmin
from app.schema.approvals import CertificationState
from app.schema.certification import Certification
from app.web.errors import NotFound


class NewChangeRequest(NamedTuple):
    """A request that was created. It is not pending if the org has no superior, because it took effect at once."""

    id: UUID
    pending: bool


async def create_change_request(db: AsyncConnection, scope: OrgScope, body: ChangeRequestCreate) -> UUID:
    """Request a change of the scope's org. If the org has no superior that must approve, make the change at once.
    Return the request's id.

    Raises MainAdminOnly, SoleAdmin, NotAnAdmin, AlreadyMainAdmin, MainAdminStays (a recovery requested by the main
    admin), NameUnchanged, the name's errors, SiblingNameTaken, ChangeRequestOpen.
    """
    org = (await lock_orgs_for_edit(db, scope))[scope.org_id]
    match body:
        case RenameCreate():
            if body.name == org.name:
                raise NameUnchanged
            request = await request_rename(db, scope, org, body.name, body.reason)
        case HandOverCreate():
            request = await _request_hand_over(db, scope, org, body)
        case RecoveryCreate():
            request = await _request_recovery(db, scope, org, body)
    return request.id


async def request_rename(
    db: AsyncConnection, scope: OrgScope, org: LockedOrg, name: str, reason: str | None = None
) -> NewChangeRequest:
    """Request a new name for the org, which the caller has locked. Return the request.

    Raises the name's errors, SiblingNameTaken, ChangeRequestOpen.
    """
    for error in names.list_name_errors(name, Kind(org.kind), present_name=org.name):
        raise error
    values = {"kind": "rename", "name_before": org.name, "name_after": name, "reason": reason}
    return await _create_request(db, scope, values)


async def _request_hand_over(
    db: AsyncConnection, scope: OrgScope, org: LockedOrg, body: HandOverCreate
) -> NewChangeRequest:
    if org.main_admin_id != scope.user.user_id:
        raise MainAdminOnly
    await _require_successor(db, org, body.main_admin_id)
    return await _create_request(db, scope, _build_values(org, "hand-over", body.main_admin_id, body.reason))


async def _request_recovery(
    db: AsyncConnection, scope: OrgScope, org: LockedOrg, body: RecoveryCreate
) -> NewChangeRequest:
    if org.main_admin_id == scope.user.user_id:
        raise MainAdminStays
    successor = body.main_admin_id or scope.user.user_id
    await _require_successor(db, org, successor)
    return await _create_request(db, scope, _build_values(org, "recovery", successor, body.reason))


async def _require_successor(db: AsyncConnection, org: LockedOrg, user_id: UUID) -> None:
    """Require that the user is an admin of the org and not yet its main admin.

    Raises AlreadyMainAdmin, SoleAdmin (the org has one admin only), NotAnAdmin.
    """
    if user_id == org.main_admin_id:
        raise AlreadyMainAdmin
    admins = (await db.scalars(select(OrgAdmin.user_id).where(OrgAdmin.org_id == org.id))).all()
    if len(admins) == 1:
        raise SoleAdmin
    if user_id not in admins:
        raise NotAnAdmin


def _build_values(org: LockedOrg, kind: str, successor: UUID, reason: str | None) -> dict[str, Any]:
    """Return the columns of a request for a new main admin."""
    return {
        "kind": kind,
        "main_admin_before": org.main_admin_id,
        "main_admin_after": successor,
        "reason": reason,
    }


async def _create_request(db: AsyncConnection, scope: OrgScope, values: dict[str, Any]) -> NewChangeRequest:
    """Insert the request with an audit entry. If the org has no superior that must approve, make the change at once."""
    superior_id = await tree.find_superior_id(db, scope.org_id)
    await _require_free_name(db, superior_id, values.get("name_after"))
    columns = {"org_id": scope.org_id, "requested_by": scope.user.user_id, **values}
    request_id = await create_request(db, CHANGE_REQUEST, ChangeRequestOpen, **columns)
    change = await get_change(db, request_id)
    subject = ("change_request", request_id)
    after = {"kind": change.kind} | change.after
    await record(db, scope.actor, "change_request.created", org_id=scope.org_id, subject=subject, after=after)
    if superior_id is not None or change.kind == "recovery":
        return NewChangeRequest(request_id, pending=True)
    if not await accept_change(db, scope.actor, change, scope.user.user_id):
        raise ChangeRequestStale  # cannot happen while the org's row is locked
    return NewChangeRequest(request_id, pending=False)


async def _require_free_name(db: AsyncConnection, superior_id: UUID | None, name: str | None) -> None:
    """Raise SiblingNameTaken if another subordinate of the superior has this name.

    This is an early answer for the requester. The unique index repeats the check when the name changes.
    """
    if superior_id is None or name is None:
        return
    sibling = exists().where(
        Certification.superior_id == superior_id,
        Certification.subordinate_name == name,
        Certification.state == CertificationState.LIVE,
    )
    if await db.scalar(select(sibling)):
        raise SiblingNameTaken


async def withdraw_change_request(db: AsyncConnection, scope: OrgScope, request_id: UUID) -> None:
    """Withdraw a pending change request of the scope's org. Only the main admin can withdraw a hand-over. Any admin
    can withdraw a rename or a recovery: in this way a main admin who is still available ends a recovery.

    Raises NotFound, MainAdminOnly, ChangeRequestDecided, ChangeRequestExpired.
    """
    org = (await lock_orgs_for_edit(db, scope))[scope.org_id]
    change = await get_change(db, request_id)
    if change.org_id != scope.org_id:
        raise NotFound
    if change.kind == "hand-over" and org.main_admin_id != scope.user.user_id:
        raise MainAdminOnly
    condition = ChangeRequest.id == request_id
    errors = {"decided": ChangeRequestDecided, "expired": ChangeRequestExpired}
    await withdraw_request(db, CHANGE_REQUEST, condition, by=scope.user.user_id, **errors)
    subject = ("change_request", request_id)
    await record(db, scope.actor, "change_request.withdrawn", org_id=scope.org_id, subject=subject)
