"""The requests that wait for one user: as an admin of orgs, or as an invitee.

It is one UNION ALL statement. It has one part for each way in which a kind of request is assigned to its decider. Each
part starts from the user's rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    CTE,
    Boolean,
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
    not_,
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
    CLOSURE,
    GROUP_TRANSFER,
    JOIN_REQUEST,
    KINDS,
    LINK_REQUEST,
    MERGER,
    PERSON_TRANSFER,
    PROMOTION,
    REMOVAL_REQUEST,
    TRANSFER,
    AdminsOf,
    AdminsOfSuperior,
    Decider,
    Kind,
    MainAdminOf,
)
from app.authz.access import UserScope
from app.database.db import Readable
from app.database.driver import DriverStatement
from app.database.paging import Paging, Slice
from app.members.joins.queries import ASKER_IS_ACTIVE, ASKER_NAME
from app.members.links.queries import REQUEST_MATCHES_ROW
from app.members.superseded_requests import IS_PERSON_OF_TRANSFER, IS_ROW_OF_REQUEST
from app.schema.admins import AdminInvitation, ChangeRequest, OrgAdmin
from app.schema.approvals import CertificationState
from app.schema.auth import User
from app.schema.certification import Certification, Transfer
from app.schema.joins import JoinRequest
from app.schema.members import LinkRequest, Member
from app.schema.orgs import Closure, Merger, Org, Promotion, Unit
from app.schema.person_transfers import GroupTransfer, PersonTransfer


class WaitingRequest(NamedTuple):
    """A request that waits for the user. `org_id` is the org for which the user decides; None if the user is the
    invitee. `subject` is the requester's name, `detail` the requested value, `step` the step of a transfer."""

    kind: str
    id: UUID
    org_id: UUID | None
    org_name: str | None
    subject: str
    detail: str | None
    at: datetime
    step: str | None


class _Count(NamedTuple):
    kind: str
    waiting: int


_USER_ID = bindparam("user_id", type_=Uuid())
_KEY_PROVED = bindparam("key_proved", type_=Boolean())
_ADMINISTERED = (
    select(
        Org.id, Org.name, Org.main_admin_id, Org.region_code.like(literal_column("'%0000'")).label("is_key_required")
    )
    .join(OrgAdmin, OrgAdmin.org_id == Org.id)
    .where(OrgAdmin.user_id == _USER_ID, Org.status == literal_column("'live'"))
    .cte("administered")
)
_INVITEE = select(User.id, User.phone_index).where(User.id == _USER_ID).cte("invitee")
_Requesting = aliased(Org, name="requesting")
_Other = aliased(Org, name="other")
_Edge = aliased(Certification, name="edge")
_LIVE: ColumnElement[str] = literal_column(f"'{CertificationState.LIVE}'")


def _mask_name(name: ColumnElement[Any] | InstrumentedAttribute[Any]) -> ColumnElement[Any]:
    """Return the name of a person or an org. While no security key is proved, return only its first character for an
    org whose admins need one (S16)."""
    masked = func.rpad(func.left(name, literal_column("1")), func.char_length(name), literal_column("'*'"))
    return case((and_(_ADMINISTERED.c.is_key_required, not_(_KEY_PROVED)), masked), else_=name)


@dataclass(frozen=True, slots=True)
class _EntryColumns:
    """The columns of an entry, the joins that they need, and further conditions."""

    subject: Any
    detail: Any
    joins: Sequence[tuple[Any, ColumnElement[bool]]]
    conditions: Sequence[ColumnElement[bool]] = ()


_NOTHING = null().cast(Text)
_ENTRY_COLUMNS = {
    APPLICATION: _EntryColumns(
        _mask_name(_Requesting.name), _NOTHING, [(_Requesting, _Requesting.id == Certification.subordinate_id)]
    ),
    CHANGE_REQUEST: _EntryColumns(
        _mask_name(_Requesting.name),
        func.coalesce(_mask_name(ChangeRequest.name_after), ChangeRequest.kind),
        [(_Requesting, _Requesting.id == ChangeRequest.org_id)],
    ),
    TRANSFER: _EntryColumns(
        _mask_name(_Requesting.name),
        _mask_name(_Other.name),
        [
            (_Requesting, _Requesting.id == Transfer.org_id),
            (_Other, _Other.id == case((Transfer.released_at.is_(None), Transfer.to_id), else_=Transfer.from_id)),
        ],
    ),
    LINK_REQUEST: _EntryColumns(
        _mask_name(User.verified_name),
        _NOTHING,
        [(User, and_(User.id == LinkRequest.user_id, User.status == literal_column("'active'")))],
        [select(Member.id).where(REQUEST_MATCHES_ROW).correlate(LinkRequest, User).exists()],
    ),
    PERSON_TRANSFER: _EntryColumns(
        _mask_name(_Requesting.name),
        _mask_name(Member.name),
        [(Member, IS_PERSON_OF_TRANSFER), (_Requesting, _Requesting.id == PersonTransfer.org_id)],
    ),
    GROUP_TRANSFER: _EntryColumns(
        _mask_name(_Requesting.name),
        GroupTransfer.people.cast(Text),
        [(_Requesting, _Requesting.id == GroupTransfer.org_id)],
    ),
    ADMIN_INVITATION: _EntryColumns(
        _Requesting.name, _NOTHING, [(_Requesting, _Requesting.id == AdminInvitation.org_id)]
    ),
    JOIN_REQUEST: _EntryColumns(
        _mask_name(ASKER_NAME),
        select(Unit.name)
        .where(Unit.org_id == JoinRequest.org_id, Unit.id == JoinRequest.unit_id)
        .correlate(JoinRequest)
        .scalar_subquery(),
        [(User, ASKER_IS_ACTIVE)],
    ),
    REMOVAL_REQUEST: _EntryColumns(_mask_name(Member.name), _NOTHING, [(Member, IS_ROW_OF_REQUEST)]),
    PROMOTION: _EntryColumns(
        _Requesting.name,
        Unit.name,
        [
            (_Requesting, _Requesting.id == Promotion.org_id),
            (Unit, and_(Unit.org_id == Promotion.org_id, Unit.id == Promotion.unit_id)),
        ],
    ),
    MERGER: _EntryColumns(_mask_name(_Requesting.name), _NOTHING, [(_Requesting, _Requesting.id == Merger.org_id)]),
    CLOSURE: _EntryColumns(_mask_name(User.verified_name), _NOTHING, [(User, User.id == Closure.requested_by)]),
}


def _build_parts() -> Iterator[Select[Any]]:
    for kind in KINDS:
        for decider in kind.deciders:
            yield _build_part_for_decider(kind, decider)
    # A recovery waits for the superior. The present main admin also finds it, and can object.
    can_object = and_(ChangeRequest.kind == literal_column("'recovery'"), _ADMINISTERED.c.main_admin_id == _USER_ID)
    yield _build_part("recovery", CHANGE_REQUEST, _ADMINISTERED, _ADMINISTERED.c.name, _NOTHING).join(
        ChangeRequest, and_(ChangeRequest.org_id == _ADMINISTERED.c.id, CHANGE_REQUEST.waiting, can_object)
    )
    replaces_user = and_(AdminInvitation.org_id == _ADMINISTERED.c.id, AdminInvitation.main_admin_before == _USER_ID)
    yield _build_part("recovery-offer", ADMIN_INVITATION, _ADMINISTERED, _ADMINISTERED.c.name, _NOTHING).join(
        AdminInvitation, and_(replaces_user, ADMIN_INVITATION.waiting)
    )


def _build_part_for_decider(kind: Kind, decider: Decider) -> Select[Any]:
    columns = _ENTRY_COLUMNS[kind]
    match decider:
        case AdminsOf(org, step, when):
            part = _build_part(kind.name, kind, _ADMINISTERED, columns.subject, columns.detail, step)
            part = part.join(kind.table, and_(org == _ADMINISTERED.c.id, kind.waiting))
            if when is not None:
                part = part.where(when)
        case AdminsOfSuperior(org):
            part = _build_part(kind.name, kind, _ADMINISTERED, columns.subject, columns.detail)
            part = part.join(_Edge, and_(_Edge.superior_id == _ADMINISTERED.c.id, _Edge.state == _LIVE))
            part = part.join(kind.table, and_(org == _Edge.subordinate_id, kind.waiting))
        case MainAdminOf(org):
            part = _build_part(kind.name, kind, _ADMINISTERED, columns.subject, columns.detail)
            is_main_admin = _ADMINISTERED.c.main_admin_id == _USER_ID
            part = part.join(kind.table, and_(org == _ADMINISTERED.c.id, is_main_admin, kind.waiting))
        case _:
            part = _build_part(kind.name, kind, _INVITEE, columns.subject, columns.detail)
            has_phone = and_(decider.user_id.is_(None), decider.phone_index == _INVITEE.c.phone_index)
            part = part.join(kind.table, and_(or_(decider.user_id == _INVITEE.c.id, has_phone), kind.waiting))
    for table, condition in columns.joins:
        part = part.join(table, condition)
    return part.where(*columns.conditions)


def _build_part(name: str, kind: Kind, start: CTE, subject: Any, detail: Any, step: str | None = None) -> Select[Any]:
    org = [null().cast(Uuid), _NOTHING] if start is _INVITEE else [_ADMINISTERED.c.id, _ADMINISTERED.c.name]
    return select(
        literal_column(f"'{name}'", Text).label("kind"),
        kind.table.id.label("id"),
        org[0].label("org_id"),
        org[1].label("org_name"),
        subject.label("subject"),
        detail.label("detail"),
        kind.table.requested_at.label("at"),
        (_NOTHING if step is None else literal_column(f"'{step}'", Text)).label("step"),
    ).select_from(start)


_WAITING = union_all(*_build_parts()).cte("waiting")
_AFTER = bindparam("after", type_=Uuid())
_LIST = DriverStatement(
    select(_WAITING)
    .where(or_(_AFTER.is_(None), _WAITING.c.id < _AFTER))
    .order_by(_WAITING.c.id.desc())
    .limit(bindparam("limit", type_=Integer())),
    "user_id",
    "key_proved",
    "after",
    "limit",
    row=WaitingRequest,
)
_COUNT = DriverStatement(
    select(_WAITING.c.kind, func.count().label("waiting")).group_by(_WAITING.c.kind),
    "user_id",
    "key_proved",
    row=_Count,
)


async def list_waiting_requests(db: Readable, user: UserScope, paging: Paging) -> Slice[WaitingRequest]:
    """Return a page of the requests that wait for the user, the newest first."""
    after = paging.after[0] if paging.after is not None else None
    found = await _LIST.fetch(db, user_id=user.user_id, key_proved=user.key_proved, after=after, limit=paging.rows)
    return Slice.cut(found, paging, lambda waiting: (waiting.id,))


async def count_waiting_requests(db: Readable, user: UserScope) -> dict[str, int]:
    """Return the number of requests that wait for the user, by kind. A kind without any is absent."""
    return {row.kind: row.waiting for row in await _COUNT.fetch(db, user_id=user.user_id, key_proved=user.key_proved)}
