"""What waits for one person: as an admin of their orgs, and by their own phone.

One statement, with a part for every way in which a request of a kind finds its decider; each part begins at the person.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    Select,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute, aliased

from app.approvals.kinds import (
    ADMIN_INVITATION,
    APPLICATION,
    CHANGE_REQUEST,
    KINDS,
    LINK_REQUEST,
    PERSON_TRANSFER,
    PROMOTION,
    TRANSFER,
    AdminsOf,
    AdminsOfSuperior,
    Decider,
    Kind,
)
from app.database.db import Readable
from app.database.driver import DriverStatement
from app.database.paging import Paging, Slice
from app.members.links.queries import REQUEST_MATCHES_ROW
from app.members.transfers.queries import IS_PERSON_OF_TRANSFER
from app.schema.admins import AdminInvitation, ChangeRequest, OrgAdmin
from app.schema.approvals import CertificationState
from app.schema.auth import User
from app.schema.certification import Certification, Transfer
from app.schema.members import LinkRequest, Member
from app.schema.orgs import Org, Promotion, Unit
from app.schema.person_transfers import PersonTransfer


class Waiting(NamedTuple):
    """A request that waits for the person."""

    kind: str
    id: UUID
    org_id: UUID | None  # that the person acts for
    org_name: str | None
    subject: str  # who requests
    detail: str | None  # what
    at: datetime
    step: str | None  # of a transfer


class _Count(NamedTuple):
    kind: str
    waiting: int


_USER_ID = bindparam("user_id", type_=Uuid())
_MINE = (
    select(
        Org.id, Org.name, Org.main_admin_id, Org.region_code.like(literal_column("'%0000'")).label("is_key_required")
    )
    .join(OrgAdmin, OrgAdmin.org_id == Org.id)
    .where(OrgAdmin.user_id == _USER_ID, Org.status == literal_column("'live'"))
    .cte("mine")
)
_ME = select(User.id, User.phone_index).where(User.id == _USER_ID).cte("me")
_Requesting = aliased(Org, name="requesting")
_Other = aliased(Org, name="other")
_Edge = aliased(Certification, name="edge")
_LIVE: ColumnElement[str] = literal_column(f"'{CertificationState.LIVE}'")


def _person(name: InstrumentedAttribute[Any]) -> ColumnElement[Any]:
    """A person's name, for which the inbox asks for no security key: of an org whose admins need one (S16) its first
    character."""
    masked = func.rpad(func.left(name, literal_column("1")), func.char_length(name), literal_column("'*'"))
    return case((_MINE.c.is_key_required, masked), else_=name)


@dataclass(frozen=True, slots=True)
class _Shown:
    """What an entry says, and where that is read: tables with how they are joined."""

    subject: Any
    detail: Any
    joins: Sequence[tuple[Any, ColumnElement[bool]]]
    only: Sequence[ColumnElement[bool]] = ()


_NOTHING = null().cast(Text)
_SHOWN = {
    APPLICATION: _Shown(_Requesting.name, _NOTHING, [(_Requesting, _Requesting.id == Certification.subordinate_id)]),
    CHANGE_REQUEST: _Shown(
        _Requesting.name,
        func.coalesce(ChangeRequest.name_after, ChangeRequest.kind),
        [(_Requesting, _Requesting.id == ChangeRequest.org_id)],
    ),
    TRANSFER: _Shown(
        _Requesting.name,
        _Other.name,
        [
            (_Requesting, _Requesting.id == Transfer.org_id),
            (_Other, _Other.id == case((Transfer.released_at.is_(None), Transfer.to_id), else_=Transfer.from_id)),
        ],
    ),
    LINK_REQUEST: _Shown(
        _person(User.verified_name),
        _NOTHING,
        [(User, and_(User.id == LinkRequest.user_id, User.status == literal_column("'active'")))],
        [select(Member.id).where(REQUEST_MATCHES_ROW).correlate(LinkRequest, User).exists()],
    ),
    PERSON_TRANSFER: _Shown(
        _Requesting.name,
        _person(Member.name),
        [(Member, IS_PERSON_OF_TRANSFER), (_Requesting, _Requesting.id == PersonTransfer.org_id)],
    ),
    ADMIN_INVITATION: _Shown(_Requesting.name, _NOTHING, [(_Requesting, _Requesting.id == AdminInvitation.org_id)]),
    PROMOTION: _Shown(
        _Requesting.name,
        Unit.name,
        [
            (_Requesting, _Requesting.id == Promotion.org_id),
            (Unit, and_(Unit.org_id == Promotion.org_id, Unit.id == Promotion.unit_id)),
        ],
    ),
}


def _parts() -> Iterator[Select[Any]]:
    for kind in KINDS:
        for decider in kind.deciders:
            yield _waiting_for(kind, decider)
    # A recovery waits for the superior; the main admin whom it would replace can object.
    objects = and_(ChangeRequest.kind == literal_column("'recovery'"), _MINE.c.main_admin_id == _USER_ID)
    yield _part("recovery", CHANGE_REQUEST, _MINE, _MINE.c.name, _NOTHING).join(
        ChangeRequest, and_(ChangeRequest.org_id == _MINE.c.id, CHANGE_REQUEST.waiting, objects)
    )
    replaces = and_(AdminInvitation.org_id == _MINE.c.id, AdminInvitation.main_admin_before == _USER_ID)
    yield _part("recovery-offer", ADMIN_INVITATION, _MINE, _MINE.c.name, _NOTHING).join(
        AdminInvitation, and_(replaces, ADMIN_INVITATION.waiting)
    )


def _waiting_for(kind: Kind, decider: Decider) -> Select[Any]:
    shown = _SHOWN[kind]
    match decider:
        case AdminsOf(org, step, when):
            part = _part(kind.name, kind, _MINE, shown.subject, shown.detail, step)
            part = part.join(kind.table, and_(org == _MINE.c.id, kind.waiting))
            if when is not None:
                part = part.where(when)
        case AdminsOfSuperior(org):
            part = _part(kind.name, kind, _MINE, shown.subject, shown.detail)
            part = part.join(_Edge, and_(_Edge.superior_id == _MINE.c.id, _Edge.state == _LIVE))
            part = part.join(kind.table, and_(org == _Edge.subordinate_id, kind.waiting))
        case _:
            part = _part(kind.name, kind, _ME, shown.subject, shown.detail)
            by_phone = and_(decider.user_id.is_(None), decider.phone_index == _ME.c.phone_index)
            part = part.join(kind.table, and_(or_(decider.user_id == _ME.c.id, by_phone), kind.waiting))
    for table, condition in shown.joins:
        part = part.join(table, condition)
    return part.where(*shown.only)


def _part(name: str, kind: Kind, begun_at: CTE, subject: Any, detail: Any, step: str | None = None) -> Select[Any]:
    own = [null().cast(Uuid), _NOTHING] if begun_at is _ME else [_MINE.c.id, _MINE.c.name]
    return select(
        literal_column(f"'{name}'", Text).label("kind"),
        kind.table.id.label("id"),
        own[0].label("org_id"),
        own[1].label("org_name"),
        subject.label("subject"),
        detail.label("detail"),
        kind.table.requested_at.label("at"),
        (_NOTHING if step is None else literal_column(f"'{step}'", Text)).label("step"),
    ).select_from(begun_at)


_WAITING = union_all(*_parts()).cte("waiting")
_AFTER = bindparam("after", type_=Uuid())
_LIST = DriverStatement(
    select(_WAITING)
    .where(or_(_AFTER.is_(None), _WAITING.c.id < _AFTER))
    .order_by(_WAITING.c.id.desc())
    .limit(bindparam("limit", type_=Integer())),
    "user_id",
    "after",
    "limit",
    row=Waiting,
)
_COUNT = DriverStatement(
    select(_WAITING.c.kind, func.count().label("waiting")).group_by(_WAITING.c.kind), "user_id", row=_Count
)


async def list_waiting(db: Readable, user_id: UUID, paging: Paging) -> Slice[Waiting]:
    """A page of what waits, newest first."""
    after = paging.after[0] if paging.after is not None else None
    found = await _LIST.fetch(db, user_id=user_id, after=after, limit=paging.rows)
    return Slice.cut(found, paging, lambda waiting: (waiting.id,))


async def count_waiting(db: Readable, user_id: UUID) -> dict[str, int]:
    """How much waits, by kind."""
    return {row.kind: row.waiting for row in await _COUNT.fetch(db, user_id=user_id)}
