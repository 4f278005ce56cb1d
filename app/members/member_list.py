"""The list of an org's people: filtered, and read in pages or batches, or counted."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import (
    ColumnElement,
    Integer,
    LargeBinary,
    Select,
    Uuid,
    and_,
    any_,
    bindparam,
    exists,
    false,
    func,
    literal,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from app.blind_index.keys import build_last4_parts
from app.core.cipher import Cipher
from app.core.search import NameSearch, SearchBy
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging, paginate, read_paging
from app.hierarchy import tree
from app.members.queries import MEMBERS, LinkedUser, MemberRow, make_member_out
from app.members.schemas import MemberOrder, MemberOut
from app.schema.members import Member, UnitMembership

_ORG_ID = bindparam("org_id", type_=Uuid())
_UNIT_ID = bindparam("unit_id", type_=Uuid())
_NAMES = NameSearch(Member.name, Member.name_grams, Member.pinyin, Member.initials)
_InUnit = aliased(UnitMembership, name="in_unit")
"""The membership in the unit of the filter."""
NO_POSITION = 2_147_483_647
"""The sort key of a person without a place in a unit."""
_CURSORS: dict[MemberOrder, TypeAdapter[Any]] = {
    MemberOrder.ADDED: TypeAdapter(tuple[UUID]),
    MemberOrder.NAME: TypeAdapter(tuple[str, str, UUID]),
    MemberOrder.POSITION: TypeAdapter(tuple[int, str, str, UUID]),
}
_CACHED_STATEMENTS = 200
"""The number of cached statements of each list. The console uses a few dozen."""


@dataclass(frozen=True, slots=True)
class MemberFilter:
    """Filters for an org's people; None means no filter."""

    q: str | None = None
    unit_id: UUID | None = None
    units_below: bool = False
    at_org: bool | None = None
    active: bool | None = None
    party: bool | None = None
    verified: bool | None = None


class MemberListing(NamedTuple):
    """The requested people: the filter, their order and the page."""

    wanted: MemberFilter
    order: MemberOrder
    paging: Paging


class _Shape(NamedTuple):
    """The part of a filter that determines the text of the statement. The values of the filter are parameters
    (`_get_parameters`)."""

    search: SearchBy | Literal["last4", "none"] | None
    unit: Literal["unit", "subtree"] | None
    at_org: bool | None
    active: bool | None
    party: bool | None
    verified: bool | None


def read_member_paging(order: MemberOrder, limit: int, cursor: str | None) -> Paging:
    """Return the page that the parameters name. Raises Invalid for a cursor of another order."""
    return read_paging(limit, cursor, _CURSORS[order])


async def list_members(db: Readable, cipher: Cipher, org_id: UUID, listing: MemberListing) -> Page[MemberOut]:
    """Return a page of the org's people that match the filter."""
    found = await _build_listing(listing).fetch(db, listing.paging, **_get_parameters(cipher, org_id, listing.wanted))
    return Page[MemberOut].from_slice(found.map(partial(make_member_out, cipher)))


async def stream_members(
    db: AsyncConnection, cipher: Cipher, org_id: UUID, wanted: MemberFilter, order: MemberOrder, batch: int
) -> AsyncIterator[list[MemberRow]]:
    """Yield all people that match the filter, in batches of `batch` rows, in this order."""
    given, paging = _get_parameters(cipher, org_id, wanted), Paging(batch, None)
    while True:
        found = await _build_listing(MemberListing(wanted, order, paging)).fetch(db, paging, **given)
        yield found.rows
        if found.next_cursor is None:
            return
        paging = read_member_paging(order, batch, found.next_cursor)


async def count_members(
    db: Readable, cipher: Cipher, org_id: UUID, wanted: MemberFilter, *, limit: int | None = None
) -> int:
    """Count the org's people that match the filter. If there are more than `limit`, return `limit` + 1.

    Without `limit` the statement reads every row of the org.
    """
    given = _get_parameters(cipher, org_id, wanted) | {"max_rows": None if limit is None else limit + 1}
    return (await db.execute(_build_count(_get_shape(wanted)), given)).scalar_one()


def _get_shape(wanted: MemberFilter) -> _Shape:
    search: SearchBy | Literal["last4", "none"] | None = None
    if wanted.q is not None:
        search = SearchBy.choose(wanted.q)
        if wanted.q.isascii() and wanted.q.isdecimal():
            # Four digits are the end of a phone. A longer number finds no member: it would be in the logged URL.
            search = "last4" if len(wanted.q) == 4 else "none"
    unit: Literal["unit", "subtree"] | None = None
    if wanted.unit_id is not None:
        unit = "subtree" if wanted.units_below else "unit"
    return _Shape(search, unit, wanted.at_org, wanted.active, wanted.party, wanted.verified)


def _get_parameters(cipher: Cipher, org_id: UUID, wanted: MemberFilter) -> dict[str, Any]:
    """Return the parameters of a statement with the conditions of the filter's shape (`_build_conditions`)."""
    given: dict[str, Any] = {"org_id": org_id}
    match _get_shape(wanted).search, wanted.q:
        case SearchBy(), str(typed):
            given |= _NAMES.build_parameters(typed)
        case "last4", str(typed):
            given["last4_indexes"] = cipher.list_indexes(*build_last4_parts(org_id, typed))
    if wanted.unit_id is not None:
        given["unit_id"] = wanted.unit_id
    return given


def _build_listing(listing: MemberListing) -> PagedStatement[MemberRow]:
    """Return the statement for the filter, the order and the page of a listing."""
    wanted, order, paging = listing
    if order is not MemberOrder.ADDED:
        return _build_ordered_page(
            _get_shape(wanted), by_position=order is MemberOrder.POSITION, after_cursor=paging.after is not None
        )
    if wanted.unit_id is not None and wanted == MemberFilter(unit_id=wanted.unit_id, units_below=True):
        return _build_subtree_page(after_cursor=paging.after is not None)
    return _build_page(_get_shape(wanted))


@lru_cache(_CACHED_STATEMENTS)
def _build_page(shape: _Shape) -> PagedStatement[MemberRow]:
    return PagedStatement(MEMBERS.where(*_build_conditions(shape)), Member.id, row=MemberRow)


@lru_cache(_CACHED_STATEMENTS)
def _build_ordered_page(shape: _Shape, *, by_position: bool, after_cursor: bool) -> PagedStatement[MemberRow]:
    """Build the page of people in the order of their names, or by their place in the unit of the filter.

    It first finds the rows of the page by the sort key alone. By name an index has them in order, whatever the size of
    the org; by position the people of the unit are sorted for each page.
    """
    keys: list[ColumnElement[Any]] = [Member.pinyin.expression, Member.name.expression, Member.id.expression]
    found = select(Member.id).where(Member.org_id == _ORG_ID, Member.removed_at.is_(None), *_build_conditions(shape))
    if shape.verified is not None:
        found = found.outerjoin(LinkedUser, LinkedUser.id == Member.user_id)
    if by_position:
        found = found.outerjoin(
            _InUnit,
            and_(
                _InUnit.org_id == _ORG_ID,
                _InUnit.member_id == Member.id,
                _InUnit.unit_id == _UNIT_ID,
                _InUnit.until.is_(None),
            ),
        )
        keys.insert(0, func.coalesce(_InUnit.position, NO_POSITION))
    labelled = [key.label(f"key_{number}") for number, key in enumerate(keys)]
    page = paginate(found.add_columns(*labelled), *keys, after_cursor=after_cursor).subquery("page")
    people = MEMBERS.join(page, page.c.id == Member.id)
    return PagedStatement(people, *(page.c[key.name] for key in labelled), row=MemberRow)


@lru_cache(_CACHED_STATEMENTS)
def _build_count(shape: _Shape) -> Select[int]:
    found = select(literal(1).label("one")).select_from(Member)
    if shape.verified is not None:
        found = found.outerjoin(LinkedUser, LinkedUser.id == Member.user_id)
    found = found.where(Member.org_id == _ORG_ID, Member.removed_at.is_(None), *_build_conditions(shape))
    return select(func.count()).select_from(found.limit(bindparam("max_rows", type_=Integer())).subquery())


def _build_conditions(shape: _Shape) -> Sequence[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    match shape.search:
        case "last4":
            found.append(Member.phone_last4_index == any_(bindparam("last4_indexes", type_=ARRAY(LargeBinary))))
        case "none":
            found.append(false())
        case SearchBy() as by:
            found.append(_NAMES.build_condition(by))
    if shape.unit is not None:
        found.append(_is_in_unit(subtree=shape.unit == "subtree"))
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
        verified = LinkedUser.verified_name.is_not(None)
        found.append(verified if shape.verified else ~verified)
    return found


def _is_in_unit(*, subtree: bool) -> ColumnElement[bool]:
    """Return whether the member is in the unit, or in its subtree."""
    where = [UnitMembership.org_id == _ORG_ID, UnitMembership.member_id == Member.id, UnitMembership.until.is_(None)]
    if not subtree:
        return exists().where(*where, UnitMembership.unit_id == _UNIT_ID)
    units = select(tree.build_unit_subtree(_ORG_ID, _UNIT_ID).c.id)
    # PostgreSQL evaluates the array once, and a subquery for each person.
    return exists().where(*where, UnitMembership.unit_id == func.any(func.array(units.scalar_subquery())))


@lru_cache(2)
def _build_subtree_page(*, after_cursor: bool) -> PagedStatement[MemberRow]:
    """Build the page of the people in a unit and its subtree.

    It takes one page of members from each unit, then the first page of all of these. The cost therefore does not
    depend on the number of people in the org or in the subtree.
    """
    units = tree.build_unit_subtree(_ORG_ID, _UNIT_ID)
    members_of_unit = select(UnitMembership.member_id).where(
        UnitMembership.org_id == _ORG_ID, UnitMembership.unit_id == units.c.id, UnitMembership.until.is_(None)
    )
    some = paginate(members_of_unit, UnitMembership.member_id, after_cursor=after_cursor).lateral("some")
    first = select(some.c.member_id).select_from(units).join(some, true()).distinct()
    found = MEMBERS.where(Member.id.in_(paginate(first, some.c.member_id, after_cursor=after_cursor)))
    return PagedStatement(found, Member.id, row=MemberRow)
