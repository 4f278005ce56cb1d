"""Reads of orgs and units."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    Text,
    Uuid,
    and_,
    bindparam,
    exists,
    func,
    literal,
    or_,
    select,
    union,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from app.authz.access import OrgCard
from app.authz.caller import ORG_CARD_COLUMNS
from app.core.search import NameSearch, SearchBy, Spelling
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging, Slice, paginate
from app.database.rows import fetch_rows, one_or_404
from app.hierarchy import tree
from app.orgs.regions import NATION
from app.orgs.unit_schemas import UnitOut
from app.schema.admins import OrgAdmin
from app.schema.approvals import CertificationState
from app.schema.certification import Certification
from app.schema.members import Member
from app.schema.orgs import Org, Unit

_ORG_ID = bindparam("org_id", type_=Uuid())
_USER_ID = bindparam("user_id", type_=Uuid())

_CARD = select(*ORG_CARD_COLUMNS).where(Org.id == _ORG_ID)
_BUT = bindparam("but", type_=Uuid())
_NAME_EXISTS = select(
    exists().where(
        Org.region_code == bindparam("region_code"),
        Org.name == bindparam("name"),
        Org.status == "live",
        or_(_BUT.is_(None), Org.id != _BUT),
    )
)
_ADMINISTERED_REGIONS = (
    select(Org.region_code)
    .join(OrgAdmin, OrgAdmin.org_id == Org.id)
    .where(OrgAdmin.user_id == _USER_ID, Org.status == "live")
    .distinct()
)


async def get_card(db: AsyncConnection, org_id: UUID) -> OrgCard:
    """An org's card, read anew after it was written."""
    return OrgCard(**(await db.execute(_CARD, {"org_id": org_id})).one()._mapping)


async def org_name_exists(db: Readable, name: str, region_code: str, but: UUID | None = None) -> bool:
    """Whether a live org of this name, other than `but`, is in this region."""
    return bool(await db.scalar(_NAME_EXISTS, {"region_code": region_code, "name": name, "but": but}))


async def list_administered_regions(db: AsyncConnection, user_id: UUID) -> Sequence[str]:
    """The regions of the live orgs that the user administers."""
    return (await db.scalars(_ADMINISTERED_REGIONS, {"user_id": user_id})).all()


class MyOrgRow(NamedTuple):
    """An org, and what a user is there: `main_admin`, `admin`, `member`."""

    id: UUID
    name: str
    kind: str
    status: str
    region_code: str
    roles: list[str]


_ROLES = union_all(
    # By the admin's row: of all orgs nobody knows by an index whose main admin somebody is.
    select(OrgAdmin.org_id.label("org_id"), literal("main_admin").label("role"))
    .join(Org, and_(Org.id == OrgAdmin.org_id, Org.main_admin_id == OrgAdmin.user_id))
    .where(OrgAdmin.user_id == _USER_ID),
    select(OrgAdmin.org_id, literal("admin")).where(OrgAdmin.user_id == _USER_ID),
    select(Member.org_id, literal("member")).where(Member.user_id == _USER_ID, Member.removed_at.is_(None)),
).subquery()
_MY_ORGS = (
    select(Org.id, Org.name, Org.kind, Org.status, Org.region_code, func.array_agg(_ROLES.c.role).label("roles"))
    .join(_ROLES, _ROLES.c.org_id == Org.id)
    .group_by(Org.id)
    .order_by(Org.id)
)


async def list_my_orgs(db: Readable, user_id: UUID) -> list[MyOrgRow]:
    """The orgs that a user administers or is a live member of, the oldest first."""
    return await fetch_rows(db, _MY_ORGS, MyOrgRow, {"user_id": user_id})


@dataclass(frozen=True, slots=True)
class OrgFilter:
    """Which of the orgs that a user may see are asked for; None: whatever it is."""

    q: str | None = None
    region_code: str | None = None
    kind: str | None = None
    status: str | None = None


class _Shape(NamedTuple):
    """What of a filter its statement is built by: how the name is searched, and which of the others are given."""

    search: SearchBy | None
    region: bool
    kind: bool
    status: bool


# Up to here the orgs that a user sees are walked, and those that match are found among them; above, the orgs that
# match are gone through by name, and each is looked up from: of so many that are seen, a page is soon full.
FEW = 50_000

_Superior = aliased(Org, name="superior")
ORG_NAMES = NameSearch(Org.name, Org.name_grams, Org.pinyin, Org.initials, after=Spelling("zhonggong", "zg"))
"""中共, which a party org's name begins with, is not typed: nanjing finds 中共南京市委员会 as 南京 does."""


class OrgFoundRow(NamedTuple):
    """An org and its superior."""

    id: UUID
    name: str
    kind: str
    status: str
    region_code: str
    superior_id: UUID | None
    superior_name: str | None


_ADMINISTERED = select(OrgAdmin.org_id).where(OrgAdmin.user_id == _USER_ID)
_MINE = select(Member.org_id).where(Member.user_id == _USER_ID, Member.removed_at.is_(None))
_BELOW = tree.subtrees(_ADMINISTERED)
_COUNT_SEEN = select(func.count()).select_from(select(_BELOW.c.id).limit(FEW + 1).subquery())


async def search_orgs(db: Readable, user_id: UUID, wanted: OrgFilter, paging: Paging) -> Slice[OrgFoundRow]:
    """A page of the orgs that the user may see, by name: those they administer with all below, and those they are
    a member of. Nobody finds another."""
    given = {"user_id": user_id} | _parameters(wanted) | paging.parameters()
    few = (await db.execute(_COUNT_SEEN, {"user_id": user_id})).scalar_one() <= FEW
    statement = _search(_shape(wanted), few=few, further=paging.after is not None)
    return Slice.cut(await fetch_rows(db, statement, OrgFoundRow, given), paging, lambda org: (org.name, org.id))


@cache
def _search(shape: _Shape, *, few: bool, further: bool) -> Select[*tuple[Any, ...]]:
    if few:
        seen = union(select(_BELOW.c.id), _MINE).subquery("seen")
        found = select(Org.id, Org.name).join(seen, seen.c.id == Org.id).where(*_conditions(shape))
        # A fence: the planner knows nothing of how many are seen, and would rather go through all orgs by name.
        matching: FromClause = found.offset(0).subquery("matching")
        listed = select(matching.c.id, matching.c.name)
    else:
        matching = Org.__table__
        listed = select(matching.c.id, matching.c.name).where(*_conditions(shape))
        listed = listed.where(or_(tree.is_under_one_of(Org, _ADMINISTERED), matching.c.id.in_(_MINE)))
    page = paginate(listed, matching.c.name, matching.c.id, further=further).subquery("page")
    edge = aliased(Certification)
    return (
        select(
            Org.id,
            Org.name,
            Org.kind,
            Org.status,
            Org.region_code,
            _Superior.id.label("superior_id"),
            _Superior.name.label("superior_name"),
        )
        .join(page, page.c.id == Org.id)
        .outerjoin(edge, (edge.subordinate_id == Org.id) & (edge.state == CertificationState.LIVE))
        .outerjoin(_Superior, _Superior.id == edge.superior_id)
        .order_by(page.c.name, page.c.id)
    )


def _shape(wanted: OrgFilter) -> _Shape:
    by = None if wanted.q is None else SearchBy.of(wanted.q)
    return _Shape(by, wanted.region_code is not None, wanted.kind is not None, wanted.status is not None)


def _conditions(shape: _Shape) -> Sequence[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if shape.search is not None:
        found.append(ORG_NAMES.condition(shape.search))
    if shape.region:
        found.append(Org.region_code >= bindparam("region_begin"))
        found.append(Org.region_code < bindparam("region_end"))
    # Written into the statement, not bound to it: an index of the few closed or outside-party orgs is found by value.
    if shape.kind:
        found.append(Org.kind == bindparam("kind", type_=Text(), literal_execute=True))
    if shape.status:
        found.append(Org.status == bindparam("status", type_=Text(), literal_execute=True))
    return found


def _parameters(wanted: OrgFilter) -> dict[str, Any]:
    """The parameters of `_conditions` of the filter's shape."""
    given: dict[str, Any] = {}
    if wanted.q is not None:
        given |= ORG_NAMES.parameters(wanted.q)
    if wanted.region_code is not None:
        begin = "" if wanted.region_code == NATION else wanted.region_code
        # In the region or one under it: a code begins with that of what it lies in, zeros at its end apart.
        while begin.endswith("00") and len(begin) <= 6:
            begin = begin[:-2]
        given |= {"region_begin": begin, "region_end": begin + ":"}  # the character after 9
    if wanted.kind is not None:
        given["kind"] = wanted.kind
    if wanted.status is not None:
        given["status"] = wanted.status
    return given


_PATHS = tree.unit_paths(_ORG_ID)
_UNITS = (
    select(Unit.id, Unit.parent_id, Unit.name, Unit.kind, Unit.position, Unit.version, _PATHS.c.path)
    .join(_PATHS, _PATHS.c.id == Unit.id)
    .where(Unit.org_id == _ORG_ID)
)
_UNIT = _UNITS.where(Unit.id == bindparam("unit_id"))
_UNITS_IN_ORDER = PagedStatement(_UNITS, _PATHS.c.sort, Unit.id, row=UnitOut)


async def list_units(db: Readable, org_id: UUID, paging: Paging) -> Page[UnitOut]:
    """A page of the org's units with their paths, each before the units under it, siblings by position."""
    return Page[UnitOut].from_slice(await _UNITS_IN_ORDER.fetch(db, paging, org_id=org_id))


async def get_unit(db: Readable, org_id: UUID, unit_id: UUID) -> UnitOut:
    """A live unit of the org with its path. Raises NotFound."""
    return await one_or_404(db, _UNIT, UnitOut, {"org_id": org_id, "unit_id": unit_id})
