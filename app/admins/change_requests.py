"""Asking for a change that the superior consents to (S4, S5): a rename, a hand-over, a recovery.

It is decided by the superior of the moment (`change_decisions`). An org without one renames itself and hands over at
once; where its main admin is gone, the platform operator consents to the recovery.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.admins.change_decisions import COLUMNS, apply_change, change_of, end_request, get_request
from app.admins.errors import (
    AlreadyMainAdmin,
    ChangeRequestDecided,
    ChangeRequestOpen,
    ChangeRequestStale,
    MainAdminOnly,
    MainAdminStays,
    NameUnchanged,
    NotAnAdmin,
    SoleAdmin,
)
from app.admins.schemas import ChangeRequestCreate, HandOverCreate, RecoveryCreate, RenameCreate
from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.core.db import on_constraint
from app.core.errors import NotFound
from app.hierarchy import tree
from app.orgs import names
from app.orgs.errors import SiblingNameTaken
from app.orgs.locks import lock_orgs_for_edit
from app.orgs.names import Kind
from app.schema.admins import ChangeRequest, OrgAdmin
from app.schema.certification import Certification

LIFETIME = timedelta(days=30)


async def create_change_request(db: AsyncConnection, scope: OrgScope, body: ChangeRequestCreate) -> UUID:
    """Ask for a change of one's own org, or make it at once where there is no superior; gives the request's id.

    Raises MainAdminOnly, SoleAdmin, NotAnAdmin, AlreadyMainAdmin, MainAdminStays (a recovery asked by them),
    NameUnchanged, the name's errors, SiblingNameTaken, ChangeRequestOpen.
    """
    org = (await lock_orgs_for_edit(db, scope))[scope.org_id]
    match body:
        case RenameCreate():
            if body.name == org.name:
                raise NameUnchanged
            asked = await request_rename(db, scope, org, body.name, body.reason)
        case HandOverCreate():
            asked = await _request_hand_over(db, scope, org, body)
        case RecoveryCreate():
            asked = await _request_recovery(db, scope, org, body)
    found: UUID = asked.id
    return found


async def request_rename(db: AsyncConnection, scope: OrgScope, org: Any, name: str, reason: str | None = None) -> Any:
    """Ask that the held org be renamed; gives the request. Raises the name's errors, SiblingNameTaken,
    ChangeRequestOpen."""
    for error in names.errors_of(name, Kind(org.kind), kept=org.name):
        raise error
    values = {"kind": "rename", "name_before": org.name, "name_after": name, "reason": reason}
    return await _ask(db, scope, values)


async def _request_hand_over(db: AsyncConnection, scope: OrgScope, org: Any, body: HandOverCreate) -> Any:
    if org.main_admin_id != scope.user.user_id:
        raise MainAdminOnly
    await _see_that_they_can_take_over(db, org, body.main_admin_id)
    return await _ask(db, scope, _replacing(org, "hand-over", body.main_admin_id, body.reason))


async def _request_recovery(db: AsyncConnection, scope: OrgScope, org: Any, body: RecoveryCreate) -> Any:
    if org.main_admin_id == scope.user.user_id:
        raise MainAdminStays
    successor = body.main_admin_id or scope.user.user_id
    await _see_that_they_can_take_over(db, org, successor)
    return await _ask(db, scope, _replacing(org, "recovery", successor, body.reason))


async def _see_that_they_can_take_over(db: AsyncConnection, org: Any, user_id: UUID) -> None:
    if user_id == org.main_admin_id:
        raise AlreadyMainAdmin
    admins = (await db.scalars(select(OrgAdmin.user_id).where(OrgAdmin.org_id == org.id))).all()
    if len(admins) == 1:
        raise SoleAdmin
    if user_id not in admins:
        raise NotAnAdmin


def _replacing(org: Any, kind: str, successor: UUID, reason: str | None) -> dict[str, Any]:
    return {
        "kind": kind,
        "main_admin_before": org.main_admin_id,
        "main_admin_after": successor,
        "reason": reason,
    }


async def _ask(db: AsyncConnection, scope: OrgScope, values: dict[str, Any]) -> Any:
    superior_id = await tree.find_superior_id(db, scope.org_id)
    at_once = superior_id is None and values["kind"] != "recovery"
    open_one = (
        ChangeRequest.org_id == scope.org_id,
        ChangeRequest.kind == values["kind"],
        ChangeRequest.state == "asked",
    )
    ended = update(ChangeRequest).where(*open_one)
    await db.execute(
        ended.where(ChangeRequest.expires_at <= func.now()).values(state="expired", decided_at=ChangeRequest.expires_at)
    )
    if at_once:
        # What was asked of a superior that the org no longer has needs nobody's consent: this takes its place.
        await db.execute(
            ended.values(state="withdrawn", decided_at=func.clock_timestamp(), decided_by=scope.user.user_id)
        )
    else:
        await _refuse_sibling_name(db, superior_id, values.get("name_after"))
    times = {"expires_at": func.now() + LIFETIME}
    with on_constraint(("change_requests_one_open_key", ChangeRequestOpen)):
        asked = (
            await db.execute(
                insert(ChangeRequest)
                .values(org_id=scope.org_id, asked_by=scope.user.user_id, **times, **values)
                .returning(*COLUMNS)
            )
        ).one()
    after = {"kind": asked.kind} | change_of(asked)[1]
    subject = ("change_request", asked.id)
    await record(db, scope.actor, "change_request.created", org_id=scope.org_id, subject=subject, after=after)
    if not at_once:
        return asked
    if not await apply_change(db, scope.actor, asked):
        raise ChangeRequestStale  # not while the org is held
    return await end_request(db, asked.id, "approved", scope.user.user_id)


async def _refuse_sibling_name(db: AsyncConnection, superior_id: UUID | None, name: str | None) -> None:
    """Told early; the index decides when the name changes."""
    if superior_id is None or name is None:
        return
    sibling = exists().where(
        Certification.superior_id == superior_id,
        Certification.subordinate_name == name,
        Certification.state == "certified",
    )
    if await db.scalar(select(sibling)):
        raise SiblingNameTaken


async def withdraw_change_request(db: AsyncConnection, scope: OrgScope, request_id: UUID) -> None:
    """Take back what one's own org asked. A hand-over is the main admin's to take back; a recovery any admin's, also
    that of a main admin who is not gone at all. Raises NotFound, MainAdminOnly, ChangeRequestDecided."""
    org = (await lock_orgs_for_edit(db, scope))[scope.org_id]
    request = await get_request(db, request_id)
    if request.org_id != scope.org_id:
        raise NotFound
    if request.kind == "hand-over" and org.main_admin_id != scope.user.user_id:
        raise MainAdminOnly
    if request.state != "asked":
        raise ChangeRequestDecided
    await end_request(db, request_id, "withdrawn", scope.user.user_id)
    subject = ("change_request", request_id)
    await record(db, scope.actor, "change_request.withdrawn", org_id=scope.org_id, subject=subject)
