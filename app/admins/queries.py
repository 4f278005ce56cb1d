"""Reads of admins, invitations and change requests."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, case, exists, func, or_, select
from sqlalchemy.orm import aliased

from app.admins.invitees import phone_index_of
from app.admins.schemas import AdminInvitationOut, ChangeRequestOut, NamedAdminOut, ReceivedAdminInvitationOut
from app.core.cipher import Cipher
from app.core.db import Readable
from app.core.errors import NotFound
from app.core.paging import Paging
from app.core.phones import mask
from app.orgs.regions import path_of
from app.schema.admins import AdminInvitation, ChangeRequest, OrgAdmin
from app.schema.auth import User
from app.schema.certification import Certification
from app.schema.orgs import Org

_Asker = aliased(User, name="asker")
_Before = aliased(User, name="main_before")
_After = aliased(User, name="main_after")


async def list_admins(db: Readable, org_id: UUID) -> Sequence[Any]:
    """The org's admins, the main one first, then by how long they have been."""
    main = Org.main_admin_id == OrgAdmin.user_id
    statement = (
        select(OrgAdmin.user_id, User.verified_name.label("name"), main.label("main"), OrgAdmin.since)
        .join(Org, Org.id == OrgAdmin.org_id)
        .join(User, User.id == OrgAdmin.user_id)
        .where(OrgAdmin.org_id == org_id)
        .order_by(main.desc(), OrgAdmin.since, OrgAdmin.user_id)
    )
    return (await db.execute(statement)).all()


def _state(table: type[AdminInvitation] | type[ChangeRequest], waiting: str) -> Any:
    """The state as it is now: one that waits ends by itself when its time is over."""
    over = and_(table.state == waiting, table.expires_at <= func.now())
    return case((over, "expired"), else_=table.state).label("state")


def _admin_invitations() -> Select[*tuple[Any, ...]]:
    return select(
        AdminInvitation.id,
        AdminInvitation.phone_cipher,
        _state(AdminInvitation, "invited"),
        User.verified_name.label("invited_by"),
        AdminInvitation.invited_at,
        AdminInvitation.expires_at,
        AdminInvitation.decided_at,
    ).join(User, User.id == AdminInvitation.invited_by)


def _admin_invitation_out(cipher: Cipher, row: Any) -> AdminInvitationOut:
    sealed = row.phone_cipher
    phone = None if sealed is None else mask(cipher.decrypt_text(sealed, row.id))
    return AdminInvitationOut(**(dict(row._mapping) | {"phone": phone}))


async def list_admin_invitations(
    db: Readable, cipher: Cipher, org_id: UUID, paging: Paging
) -> Sequence[AdminInvitationOut]:
    """The org's invitations, newest first, phones masked."""
    statement = (
        _admin_invitations()
        .where(AdminInvitation.org_id == org_id)
        .order_by(AdminInvitation.id.desc())
        .limit(paging.limit + 1)
    )
    if paging.after is not None:
        statement = statement.where(AdminInvitation.id < paging.after[0])
    return [_admin_invitation_out(cipher, row) for row in (await db.execute(statement)).all()]


async def get_admin_invitation(db: Readable, cipher: Cipher, org_id: UUID, invitation_id: UUID) -> AdminInvitationOut:
    """One of the org's invitations. Raises NotFound."""
    one = _admin_invitations().where(AdminInvitation.org_id == org_id, AdminInvitation.id == invitation_id)
    row = (await db.execute(one)).one_or_none()
    if row is None:
        raise NotFound
    return _admin_invitation_out(cipher, row)


async def get_received_admin_invitation(db: Readable, user_id: UUID, invitation_id: UUID) -> ReceivedAdminInvitationOut:
    """An invitation that waits for the user, found by their own phone; NotFound otherwise."""
    statement = (
        select(
            AdminInvitation.id,
            AdminInvitation.org_id,
            Org.name.label("org_name"),
            Org.region_code,
            User.verified_name.label("invited_by"),
            AdminInvitation.expires_at,
        )
        .join(Org, Org.id == AdminInvitation.org_id)
        .join(User, User.id == AdminInvitation.invited_by)
        .where(AdminInvitation.id == invitation_id, AdminInvitation.state == "invited")
        .where(AdminInvitation.phone_index == phone_index_of(user_id))
    )
    row = (await db.execute(statement)).one_or_none()
    if row is None:
        raise NotFound
    fields = dict(row._mapping)
    return ReceivedAdminInvitationOut(region=path_of(fields.pop("region_code")), **fields)


def _change_requests() -> Select[*tuple[Any, ...]]:
    return (
        select(
            ChangeRequest.id,
            ChangeRequest.org_id,
            Org.name.label("org_name"),
            ChangeRequest.kind,
            _state(ChangeRequest, "asked"),
            ChangeRequest.name_before,
            ChangeRequest.name_after,
            ChangeRequest.main_admin_before.label("before_id"),
            _Before.verified_name.label("before_name"),
            ChangeRequest.main_admin_after.label("after_id"),
            _After.verified_name.label("after_name"),
            _Asker.verified_name.label("asker_name"),
            ChangeRequest.reason,
            ChangeRequest.asked_at,
            ChangeRequest.expires_at,
            ChangeRequest.decided_at,
            ChangeRequest.refusal,
        )
        .join(Org, Org.id == ChangeRequest.org_id)
        .join(_Asker, _Asker.id == ChangeRequest.asked_by)
        .outerjoin(_Before, _Before.id == ChangeRequest.main_admin_before)
        .outerjoin(_After, _After.id == ChangeRequest.main_admin_after)
    )


def change_request_out(row: Any) -> ChangeRequestOut:
    fields = dict(row._mapping)
    asker, before, after = (fields.pop(f"{who}_name") for who in ("asker", "before", "after"))
    before_id, after_id = fields.pop("before_id"), fields.pop("after_id")
    return ChangeRequestOut(
        **fields,
        asked_by=_named(asker),
        main_admin_before=None if before_id is None else _named(before),
        main_admin_after=None if after_id is None else _named(after),
    )


def _named(name: str | None) -> NamedAdminOut:
    return NamedAdminOut(name=name, verified=name is not None)


async def list_change_requests(db: Readable, org_id: UUID, paging: Paging) -> Sequence[Any]:
    """What the org has asked, newest first."""
    statement = (
        _change_requests()
        .where(ChangeRequest.org_id == org_id)
        .order_by(ChangeRequest.id.desc())
        .limit(paging.limit + 1)
    )
    if paging.after is not None:
        statement = statement.where(ChangeRequest.id < paging.after[0])
    return (await db.execute(statement)).all()


async def list_received_change_requests(db: Readable, org_id: UUID, paging: Paging) -> Sequence[Any]:
    """What the orgs directly under this one ask and wait for, newest first."""
    under = and_(
        Certification.subordinate_id == ChangeRequest.org_id,
        Certification.superior_id == org_id,
        Certification.state == "certified",
    )
    statement = (
        _change_requests()
        .join(Certification, under)
        .where(ChangeRequest.state == "asked", ChangeRequest.expires_at > func.now())
        .order_by(ChangeRequest.id.desc())
        .limit(paging.limit + 1)
    )
    if paging.after is not None:
        statement = statement.where(ChangeRequest.id < paging.after[0])
    return (await db.execute(statement)).all()


async def list_orphan_recoveries(db: Readable, paging: Paging) -> Sequence[Any]:
    """The recoveries that no superior decides on, oldest first: the platform operator does."""
    edge = exists().where(Certification.subordinate_id == ChangeRequest.org_id, Certification.state == "certified")
    statement = (
        _change_requests()
        .where(ChangeRequest.kind == "recovery", ChangeRequest.state == "asked")
        .where(ChangeRequest.expires_at > func.now(), ~edge)
        .order_by(ChangeRequest.id)
        .limit(paging.limit + 1)
    )
    if paging.after is not None:
        statement = statement.where(ChangeRequest.id > paging.after[0])
    return (await db.execute(statement)).all()


async def get_change_request(db: Readable, org_id: UUID, request_id: UUID) -> ChangeRequestOut:
    """One that the org asked, or that one directly under it asks; NotFound otherwise."""
    superior = (
        select(Certification.superior_id)
        .where(Certification.subordinate_id == ChangeRequest.org_id, Certification.state == "certified")
        .correlate(ChangeRequest)
        .scalar_subquery()
    )
    mine = or_(ChangeRequest.org_id == org_id, superior == org_id)
    row = (await db.execute(_change_requests().where(ChangeRequest.id == request_id, mine))).one_or_none()
    if row is None:
        raise NotFound
    return change_request_out(row)
