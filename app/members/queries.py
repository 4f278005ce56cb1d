"""Reads of an org's directory."""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    LargeBinary,
    ScalarSelect,
    Select,
    Uuid,
    and_,
    any_,
    bindparam,
    case,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from app.approvals.kinds import LINK_REQUEST
from app.blind_index.keys import build_last4_parts
from app.core.cipher import Cipher
from app.core.phones import mask
from app.core.search import NameSearch, SearchBy
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging, paginate
from app.database.rows import fetch_row, fetch_rows, one_or_404
from app.hierarchy import tree
from app.members.schemas import InactiveReason, MemberOut
from app.schema.auth import User
from app.schema.members import Activation, LinkRequest, Member, UnitMembership
from app.schema.orgs import Unit

_ORG_ID = bindparam("org_id", type_=Uuid())
_UNIT_ID = bindparam("unit_id", type_=Uuid())
_NAMES = NameSearch(Member.name, Member.name_grams, Member.pinyin, Member.initials)
_SHAPES = 200
"""So many statements are held of each list; a console asks for a few dozen."""

_Linked = aliased(User, name="linked")
_Holder = aliased(User, name="holder")
_Other = aliased(Member, name="other")


@dataclass(frozen=True, slots=True)
class MemberFilter:
    """Which of the org's people are asked for; None: whatever it is."""

    q: str | None = None
    unit_id: UUID | None = None
    units_below: bool = False
    at_org: bool | None = None
    active: bool | None = None
    party: bool | None = None
    verified: bool | None = None


class _Shape(NamedTuple):
    """What of a filter its statement is built by; the rest are parameters (`_parameters`)."""

    search: SearchBy | Literal["last4", "nobody"] | None
    unit: Literal["in", "below"] | None
    at_org: bool | None
    active: bool | None
    party: bool | None
    verified: bool | None


class MemberRow(NamedTuple):
    """A person's row in the directory, their phone encrypted; `units` are objects of `id` and `name`."""

    id: UUID
    name: str
    phone_cipher: bytes
    party: bool
    version: int
    created_at: datetime
    active: bool
    inactive_reason: str | None
    link_request_id: UUID | None
    verified: bool
    units: list[dict[str, str]]
    at_org: bool


def _members() -> Select[Any]:
    """The live rows of the org `org_id`, as MemberRow has them."""
    in_units = and_(
        UnitMembership.org_id == Member.org_id, UnitMembership.member_id == Member.id, UnitMembership.until.is_(None)
    )
    unit = func.jsonb_build_object("id", Unit.id, "name", Unit.name)
    units = (
        select(func.coalesce(func.jsonb_agg(aggregate_order_by(unit, Unit.name)), func.jsonb_build_array()))
        .select_from(UnitMembership)
        .join(Unit, and_(Unit.org_id == UnitMembership.org_id, Unit.id == UnitMembership.unit_id))
        .where(in_units)
        .correlate(Member)
        .scalar_subquery()
    )
    asked = _link_request()
    undone = _found_for_each(
        select(Activation.id).where(
            Activation.org_id == Member.org_id,
            Activation.member_id == Member.id,
            Activation.user_id == _Holder.id,
            Activation.undone_by.is_not(None),
        )
    )
    here_already = _found_for_each(
        select(_Other.id).where(_Other.org_id == Member.org_id, _Other.user_id == _Holder.id)
    )
    reason = case(
        (Member.user_id.is_not(None), None),
        (asked.is_not(None), InactiveReason.PHONE_MISMATCH),
        (_Holder.id.is_(None), InactiveReason.NEVER_REGISTERED),
        (here_already, InactiveReason.HERE_ALREADY),
        (undone, InactiveReason.UNLINKED),
        else_=InactiveReason.NAME_MISMATCH,
    )
    return (
        select(
            Member.id,
            Member.name,
            Member.phone_cipher,
            Member.party,
            Member.version,
            Member.created_at,
            Member.user_id.is_not(None).label("active"),
            reason.label("inactive_reason"),
            case((Member.user_id.is_(None), asked)).label("link_request_id"),
            _Linked.verified_name.is_not(None).label("verified"),
            units.cast(JSONB).label("units"),
            _found_for_each(select(UnitMembership.id).where(in_units, UnitMembership.unit_id.is_(None))).label(
                "at_org"
            ),
        )
        .select_from(Member)
        .outerjoin(_Linked, _Linked.id == Member.user_id)
        .outerjoin(
            _Holder,
            and_(Member.user_id.is_(None), _Holder.phone_index == Member.phone_index, _Holder.status == "active"),
        )
        .where(Member.org_id == _ORG_ID, Member.removed_at.is_(None))
    )


def _found_for_each(rows: Select[UUID]) -> ColumnElement[bool]:
    """Whether there are such rows, looked up for each person by an index. For a plain EXISTS of some hundred people
    PostgreSQL reads the whole table instead, and a page shows fifty of them (62 ms → 0.7 ms in an org of 2,300)."""
    return rows.offset(0).correlate(Member, _Holder).exists()


def _link_request() -> ScalarSelect[Any]:
    """The oldest waiting request that fits the row: of its name, or by who holds its phone (S18)."""
    return (
        select(LinkRequest.id)
        .where(
            LinkRequest.org_id == Member.org_id,
            LINK_REQUEST.waiting,
            or_(LinkRequest.name_key == func.name_key(Member.name), LinkRequest.user_id == _Holder.id),
        )
        .order_by(LinkRequest.id)
        .limit(1)
        .correlate(Member, _Holder)
        .scalar_subquery()
    )


_MEMBERS = _members()
_MEMBER = _MEMBERS.where(Member.id == bindparam("member_id"))
_MEMBERS_BY_ID = _MEMBERS.where(Member.id == any_(bindparam("member_ids", type_=ARRAY(Uuid))))
_MEMBER_BY_PHONE = _MEMBERS.where(Member.phone_index == bindparam("phone_index"))


def _member_out(cipher: Cipher, row: MemberRow) -> MemberOut:
    """The row with its phone masked."""
    return MemberOut(**row._asdict(), phone=mask(cipher.decrypt_text(row.phone_cipher, row.id)))


async def list_members(
    db: Readable, cipher: Cipher, org_id: UUID, wanted: MemberFilter, paging: Paging
) -> Page[MemberOut]:
    """A page of the org's people, in the order in which they were added."""
    if wanted.unit_id is not None and wanted == MemberFilter(unit_id=wanted.unit_id, units_below=True):
        statement = _page_below(further=paging.after is not None)
    else:
        statement = _page(_shape(wanted))
    found = await statement.fetch(db, paging, **_parameters(cipher, org_id, wanted))
    return Page[MemberOut].from_slice(found.map(partial(_member_out, cipher)))


async def stream_members(
    db: AsyncConnection, cipher: Cipher, org_id: UUID, wanted: MemberFilter, batch: int
) -> AsyncIterator[list[MemberRow]]:
    """All the people that the filter finds, in batches, with their phones encrypted."""
    given = _parameters(cipher, org_id, wanted) | {"batch": batch, "after": UUID(int=0)}
    while rows := await fetch_rows(db, _batch(_shape(wanted)), MemberRow, given):
        yield rows
        given["after"] = rows[-1].id


async def count_members(
    db: Readable, cipher: Cipher, org_id: UUID, wanted: MemberFilter, *, most: int | None = None
) -> int:
    """How many of the org's people are asked for; where it is more than `most`, only that: one more.

    What is counted has to be looked at: without `most` it costs what the org has people.
    """
    given = _parameters(cipher, org_id, wanted) | {"enough": None if most is None else most + 1}
    return (await db.execute(_count(_shape(wanted)), given)).scalar_one()


async def get_member(db: Readable, cipher: Cipher, org_id: UUID, member_id: UUID) -> MemberOut:
    """One of the org's people. Raises NotFound."""
    which = {"org_id": org_id, "member_id": member_id}
    return _member_out(cipher, await one_or_404(db, _MEMBER, MemberRow, which))


async def list_members_by_id(
    db: Readable, cipher: Cipher, org_id: UUID, member_ids: Collection[UUID]
) -> dict[UUID, MemberOut]:
    """These of the org's people, by id."""
    rows = await fetch_rows(db, _MEMBERS_BY_ID, MemberRow, {"org_id": org_id, "member_ids": list(member_ids)})
    return {row.id: _member_out(cipher, row) for row in rows}


async def find_member_by_phone(
    db: AsyncConnection, cipher: Cipher, org_id: UUID, phone_index: bytes
) -> MemberOut | None:
    row = await fetch_row(db, _MEMBER_BY_PHONE, MemberRow, {"org_id": org_id, "phone_index": phone_index})
    return None if row is None else _member_out(cipher, row)


_PATHS = tree.unit_paths(_ORG_ID)
_PATHS_IN_ORDER = select(_PATHS.c.path).order_by(_PATHS.c.sort)
_PATHS_BY_ID = select(_PATHS.c.id, _PATHS.c.path)


async def list_unit_paths(db: Readable, org_id: UUID) -> list[str]:
    """The org's units as sheets name them, `党总支/支部`, in their order."""
    return list((await db.scalars(_PATHS_IN_ORDER, {"org_id": org_id})).all())


async def list_unit_paths_by_id(db: AsyncConnection, org_id: UUID) -> dict[UUID, str]:
    """The same by the unit's id."""
    return {row.id: row.path for row in (await db.execute(_PATHS_BY_ID, {"org_id": org_id})).all()}


def _shape(wanted: MemberFilter) -> _Shape:
    search: SearchBy | Literal["last4", "nobody"] | None = None
    if wanted.q is not None:
        search = SearchBy.of(wanted.q)
        if wanted.q.isascii() and wanted.q.isdecimal():
            # Four digits are the end of a phone; no other number finds anybody: addresses are written to logs.
            search = "last4" if len(wanted.q) == 4 else "nobody"
    unit: Literal["in", "below"] | None = None
    if wanted.unit_id is not None:
        unit = "below" if wanted.units_below else "in"
    return _Shape(search, unit, wanted.at_org, wanted.active, wanted.party, wanted.verified)


def _parameters(cipher: Cipher, org_id: UUID, wanted: MemberFilter) -> dict[str, Any]:
    """The parameters of a statement with `_conditions` of the filter's shape."""
    given: dict[str, Any] = {"org_id": org_id}
    match _shape(wanted).search, wanted.q:
        case SearchBy(), str(typed):
            given |= _NAMES.parameters(typed)
        case "last4", str(typed):
            given["last4_indexes"] = cipher.indexes(*build_last4_parts(org_id, typed))
    if wanted.unit_id is not None:
        given["unit_id"] = wanted.unit_id
    return given


@lru_cache(_SHAPES)
def _page(shape: _Shape) -> PagedStatement[MemberRow]:
    return PagedStatement(_MEMBERS.where(*_conditions(shape)), Member.id, row=MemberRow)


@lru_cache(_SHAPES)
def _batch(shape: _Shape) -> Select[Any]:
    found = _MEMBERS.where(*_conditions(shape), Member.id > bindparam("after"))
    return found.order_by(Member.id).limit(bindparam("batch", type_=Integer()))


@lru_cache(_SHAPES)
def _count(shape: _Shape) -> Select[int]:
    found = select(literal(1).label("one")).select_from(Member)
    if shape.verified is not None:
        found = found.outerjoin(_Linked, _Linked.id == Member.user_id)
    found = found.where(Member.org_id == _ORG_ID, Member.removed_at.is_(None), *_conditions(shape))
    return select(func.count()).select_from(found.limit(bindparam("enough", type_=Integer())).subquery())


def _conditions(shape: _Shape) -> Sequence[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    match shape.search:
        case "last4":
            found.append(Member.phone_last4_index == any_(bindparam("last4_indexes", type_=ARRAY(LargeBinary))))
        case "nobody":
            found.append(false())
        case SearchBy() as by:
            found.append(_NAMES.condition(by))
    if shape.unit is not None:
        found.append(_stands_in(below=shape.unit == "below"))
    if shape.at_org is not None:
        at_org = exists().where(
            UnitMembership.org_id == _ORG_ID,
            UnitMembership.member_id == Member.id,
            UnitMembership.unit_id.is_(None),
            UnitMembership.until.is_(None),
        )
        found.append(at_org if shape.at_org else ~at_org)
    if shape.active is not None:
        found.append(Member.user_id.is_not(None) if shape.active else Member.user_id.is_(None))
    if shape.party is not None:
        found.append(Member.party.is_(shape.party))
    if shape.verified is not None:
        verified = _Linked.verified_name.is_not(None)
        found.append(verified if shape.verified else ~verified)
    return found


def _stands_in(*, below: bool) -> ColumnElement[bool]:
    where = [UnitMembership.org_id == _ORG_ID, UnitMembership.member_id == Member.id, UnitMembership.until.is_(None)]
    if not below:
        return exists().where(*where, UnitMembership.unit_id == _UNIT_ID)
    units = select(tree.units_below(_ORG_ID, _UNIT_ID).c.id)
    # As an array it is made once, not looked through again for every person.
    return exists().where(*where, UnitMembership.unit_id == func.any(func.array(units.scalar_subquery())))


@lru_cache(2)
def _page_below(*, further: bool) -> PagedStatement[MemberRow]:
    """The page's people of a unit and those under it: of each unit as many as the page could take, and the first of
    all these. So it costs the same however many people the org has, and however many of them stand there."""
    units = tree.units_below(_ORG_ID, _UNIT_ID)
    placed = select(UnitMembership.member_id).where(
        UnitMembership.org_id == _ORG_ID, UnitMembership.unit_id == units.c.id, UnitMembership.until.is_(None)
    )
    some = paginate(placed, UnitMembership.member_id, further=further).lateral("some")
    first = select(some.c.member_id).select_from(units).join(some, true()).distinct()
    found = _MEMBERS.where(Member.id.in_(paginate(first, some.c.member_id, further=further)))
    return PagedStatement(found, Member.id, row=MemberRow)
