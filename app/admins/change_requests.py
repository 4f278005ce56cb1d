"""Asking for a change that the superior consents to (S4, S5): a rename, a hand-over, a recovery.

It is decided by the superior of the moment (`change_decisions`). An org without one renames itself and hands over at
once; where its main admin is gone, the platform operator consents to the recovery.
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
from app.approvals.requests import finish, open_request, raise_why_not
from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.hierarchy import tree
from app.orgs import names
from app.orgs.errors import SiblingNameTaken
from app.orgs.locks import LockedOrg, lock_orgs_for_edit
from app.orgs.names import Kind
from app.schema.admins import ChangeRequest, OrgAdmin
from app.schema.approvals import CertificationState, State
from app.schema.certification import Certification
from app.web.errors import NotFound


class Requested(NamedTuple):
    """A request that was made; not pending where there is no superior to consent, so that it took effect at once."""

    id: UUID
    pending: bool


async def create_change_request(db: AsyncConnection, scope: OrgScope, body: ChangeRequestCreate) -> UUID:
    """Ask for a change of one's own org, or make it at once where there is no superior. Returns the request's id.

    Raises MainAdminOnly, SoleAdmin, NotAnAdmin, AlreadyMainAdmin, MainAdminStays (a recovery asked by them),
    NameUnchanged, the name's errors, SiblingNameTaken, ChangeRequestOpen.
    """
    org = (await lock_orgs_for_edit(db, scope))[scope.org_id]
    match body:
        case RenameCreate():
            if body.name == org.name:
                raise NameUnchanged
            requested = await request_rename(db, scope, org, body.name, body.reason)
        case HandOverCreate():
            requested = await _request_hand_over(db, scope, org, body)
        case RecoveryCreate():
            requested = await _request_recovery(db, scope, org, body)
    return requested.id


async def request_rename(
    db: AsyncConnection, scope: OrgScope, org: LockedOrg, name: str, reason: str | None = None
) -> Requested:
    """Ask that the locked org be renamed. Raises the name's errors, SiblingNameTaken, ChangeRequestOpen."""
    for error in names.list_name_errors(name, Kind(org.kind), present_name=org.name):
        raise error
    return await _request(db, scope, {"kind": "rename", "name_before": org.name, "name_after": name, "reason": reason})


async def _request_hand_over(db: AsyncConnection, scope: OrgScope, org: LockedOrg, body: HandOverCreate) -> Requested:
    if org.main_admin_id != scope.user.user_id:
        raise MainAdminOnly
    await _require_can_take_over(db, org, body.main_admin_id)
    return await _request(db, scope, _replacing(org, "hand-over", body.main_admin_id, body.reason))


async def _request_recovery(db: AsyncConnection, scope: OrgScope, org: LockedOrg, body: RecoveryCreate) -> Requested:
    if org.main_admin_id == scope.user.user_id:
        raise MainAdminStays
    successor = body.main_admin_id or scope.user.user_id
    await _require_can_take_over(db, org, successor)
    return await _request(db, scope, _replacing(org, "recovery", successor, body.reason))


async def _require_can_take_over(db: AsyncConnection, org: LockedOrg, user_id: UUID) -> None:
    if user_id == org.main_admin_id:
        raise AlreadyMainAdmin
    admins = (await db.scalars(select(OrgAdmin.user_id).where(OrgAdmin.org_id == org.id))).all()
    if len(admins) == 1:
        raise SoleAdmin
    if user_id not in admins:
        raise NotAnAdmin


def _replacing(org: LockedOrg, kind: str, successor: UUID, reason: str | None) -> dict[str, Any]:
    return {
        "kind": kind,
        "main_admin_before": org.main_admin_id,
        "main_admin_after": successor,
        "reason": reason,
    }


async def _request(db: AsyncConnection, scope: OrgScope, values: dict[str, Any]) -> Requested:
    superior_id = await tree.find_superior_id(db, scope.org_id)
    await _refuse_sibling_name(db, superior_id, values.get("name_after"))
    requested = {"org_id": scope.org_id, "requested_by": scope.user.user_id, **values}
    request_id = await open_request(db, CHANGE_REQUEST, ChangeRequestOpen, **requested)
    change = await get_change(db, request_id)
    subject = ("change_request", request_id)
    after = {"kind": change.kind} | change.after
    await record(db, scope.actor, "change_request.created", org_id=scope.org_id, subject=subject, after=after)
    if superior_id is not None or change.kind == "recovery":
        return Requested(request_id, pending=True)
    if not await accept_change(db, scope.actor, change, scope.user.user_id):
        raise ChangeRequestStale  # not while the org is locked
    return Requested(request_id, pending=False)


async def _refuse_sibling_name(db: AsyncConnection, superior_id: UUID | None, name: str | None) -> None:
    """Told early; the index decides when the name changes."""
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
    """Take back what one's own org asked. A hand-over is the main admin's to take back; a recovery any admin's, also
    that of a main admin who is not gone at all. Raises NotFound, MainAdminOnly, ChangeRequestDecided,
    ChangeRequestExpired."""
    org = (await lock_orgs_for_edit(db, scope))[scope.org_id]
    change = await get_change(db, request_id)
    if change.org_id != scope.org_id:
        raise NotFound
    if change.kind == "hand-over" and org.main_admin_id != scope.user.user_id:
        raise MainAdminOnly
    which = ChangeRequest.id == request_id
    if not await finish(db, CHANGE_REQUEST, State.WITHDRAWN, which, decided_by=scope.user.user_id):
        await raise_why_not(db, CHANGE_REQUEST, which, decided=ChangeRequestDecided, expired=ChangeRequestExpired)
    subject = ("change_request", request_id)
    await record(db, scope.actor, "change_request.withdrawn", org_id=scope.org_id, subject=subject)
