"""Reads of orgs and units."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    FromClause,
    Select,
    Text,
    Uuid,
    and_,
    bindparam,
    func,
    literal,
    literal_column,
    or_,
    select,
    union,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from app.authz.access import OrgCard, UserScope
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
_EXCLUDED_ID = bindparam("excluded_id", type_=Uuid())
_ORG_BY_NAME = (
    select(Org.id)
    .where(
        Org.region_code == bindparam("region_code"),
        func.name_key(Org.name) == func.name_key(bindparam("name", type_=Text())),
        Org.status == "live",
        or_(_EXCLUDED_ID.is_(None), Org.id != _EXCLUDED_ID),
    )
    .order_by(Org.id)
    .limit(1)
)
_ADMINISTERED_REGIONS = (
    select(Org.region_code)
    .join(OrgAdmin, OrgAdmin.org_id == Org.id)
    .where(OrgAdmin.user_id == _USER_ID, Org.status == "live")
    .distinct()
)


async def get_card(db: AsyncConnection, org_id: UUID) -> OrgCard:
    """Return an org's card. Call it after a write to read the new card."""
    return OrgCard(**(await db.execute(_CARD, {"org_id": org_id})).one()._mapping)


async def find_org_by_name(db: Readable, name: str, region_code: str, excluded_id: UUID | None = None) -> UUID | None:
    """Return the id of the oldest live org of this region that has this name, other than `excluded_id`, or None."""
    parameters = {"region_code": region_code, "name": name, "excluded_id": excluded_id}
    found: UUID | None = await db.scalar(_ORG_BY_NAME, parameters)
    return found


async def list_administered_regions(db: AsyncConnection, user_id: UUID) -> Sequence[str]:
    """Return the region codes of the live orgs that the user administers."""
    return (await db.scalars(_ADMINISTERED_REGIONS, {"user_id": user_id})).all()


class UserOrgRow(NamedTuple):
    """An org, and the roles of a user in it: `main-admin`, `admin`, `member`."""

    id: UUID
    name: str
    kind: str
    status: str
    region_code: str
    roles: list[str]


_ROLES = union_all(
    # Starts from the rows of `org_admins`, because `orgs.main_admin_id` has no index.
    select(OrgAdmin.org_id.label("org_id"), literal("main-admin").label("role"))
    .join(Org, and_(Org.id == OrgAdmin.org_id, Org.main_admin_id == OrgAdmin.user_id))
    .where(OrgAdmin.user_id == _USER_ID),
    select(OrgAdmin.org_id, literal("admin")).where(OrgAdmin.user_id == _USER_ID),
    select(Member.org_id, literal("member")).where(Member.user_id == _USER_ID, Member.removed_at.is_(None)),
).subquery()
_ORGS_OF_USER = (
    select(Org.id, Org.name, Org.kind, Org.status, Org.region_code, func.array_agg(_ROLES.c.role).label("roles"))
    .join(_ROLES, _ROLES.c.org_id == Org.id)
    .group_by(Org.id)
    .order_by(Org.id)
)


async def list_user_orgs(db: Readable, user_id: UUID) -> list[UserOrgRow]:
    """Return the orgs that a user administers or is a live member of, the oldest first."""
    return await fetch_rows(db, _ORGS_OF_USER, UserOrgRow, {"user_id": user_id})


@dataclass(frozen=True, slots=True)
class OrgFilter:
    """The filters of a search among the orgs that a user may see. None means that the filter does not apply."""

    q: str | None = None
    region_code: str | None = None
    kind: str | None = None
    status: str | None = None


class _FilterShape(NamedTuple):
    """The part of a filter on which the statement's text depends: the kind of name search, and the filters in use."""

    search: SearchBy | None
    region: bool
    kind: bool
    status: bool


# If a user may see at most this many orgs, a search collects them and filters them. If there are more, it scans the
# matching orgs by name and checks for each whether the user may see it; with so many visible orgs, a page fills soon.
MAX_COLLECTED_ORGS = 50_000

_Superior = aliased(Org, name="superior")
ORG_NAMES = NameSearch(Org.name, Org.name_grams, Org.pinyin, Org.initials, after=Spelling("zhonggong", "zg"))
"""A search may omit 中共 at the beginning of a party org's name: nanjing finds 中共南京市委员会, as 南京 does."""


class OrgFoundRow(NamedTuple):
    """An org and its superior."""

    id: UUID
    name: str
    kind: str
    status: str
    region_code: str
    superior_id: UUID | None
    superior_name: str | None
    sort_key: str


_ADMINISTERED = select(OrgAdmin.org_id).where(OrgAdmin.user_id == _USER_ID)
# Without the proof of a key, an org whose admins need one shows nothing below it (S16).
_KEY_PROVED = bindparam("key_proved", type_=Boolean())
_ROOTS = (
    select(OrgAdmin.org_id)
    .join(Org, Org.id == OrgAdmin.org_id)
    .where(OrgAdmin.user_id == _USER_ID, or_(_KEY_PROVED, func.right(Org.region_code, 4) != literal_column("'0000'")))
)
_MEMBER_OF = select(Member.org_id).where(Member.user_id == _USER_ID, Member.removed_at.is_(None))
_SUBTREES = tree.build_subtrees(_ROOTS)
_COUNT_VISIBLE = select(func.count()).select_from(select(_SUBTREES.c.id).limit(MAX_COLLECTED_ORGS + 1).subquery())


async def search_orgs(db: Readable, user: UserScope, wanted: OrgFilter, paging: Paging) -> Slice[OrgFoundRow]:
    """Return a page of the orgs that the user may see, ordered by name: the orgs that the user administers with their
    subtrees, and the orgs of which the user is a member. The user finds no other org.

    While no key is proved, the subtree of an org whose admins need one is absent.
    """
    visible = {"user_id": user.user_id, "key_proved": user.key_proved}
    parameters = visible | _get_filter_parameters(wanted) | paging.build_parameters()
    collected = (await db.execute(_COUNT_VISIBLE, visible)).scalar_one() <= MAX_COLLECTED_ORGS
    statement = _build_search(_get_filter_shape(wanted), collected=collected, after_cursor=paging.after is not None)
    return Slice.cut(
        await fetch_rows(db, statement, OrgFoundRow, parameters), paging, lambda org: (org.sort_key, org.id)
    )


@cache
def _build_search(shape: _FilterShape, *, collected: bool, after_cursor: bool) -> Select[*tuple[Any, ...]]:
    if collected:
        visible = union(select(_SUBTREES.c.id), _ADMINISTERED, _MEMBER_OF).subquery("visible")
        found = select(Org.id, Org.sort_key).join(visible, visible.c.id == Org.id).where(*_build_conditions(shape))
        # OFFSET 0 is an optimization fence. The planner cannot estimate the number of visible orgs, and would otherwise
        # scan all orgs by name.
        matching: FromClause = found.offset(0).subquery("matching")
        listed = select(matching.c.id, matching.c.sort_key)
    else:
        matching = Org.__table__
        listed = select(matching.c.id, matching.c.sort_key).where(*_build_conditions(shape))
        own = (matching.c.id.in_(_ADMINISTERED), matching.c.id.in_(_MEMBER_OF))
        listed = listed.where(or_(tree.is_under_one_of(Org, _ROOTS), *own))
    page = paginate(listed, matching.c.sort_key, matching.c.id, after_cursor=after_cursor).subquery("page")
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
            page.c.sort_key,
        )
        .join(page, page.c.id == Org.id)
        .outerjoin(edge, (edge.subordinate_id == Org.id) & (edge.state == CertificationState.LIVE))
        .outerjoin(_Superior, _Superior.id == edge.superior_id)
        .order_by(page.c.sort_key, page.c.id)
    )


def _get_filter_shape(wanted: OrgFilter) -> _FilterShape:
    search = None if wanted.q is None else SearchBy.choose(wanted.q)
    return _FilterShape(search, wanted.region_code is not None, wanted.kind is not None, wanted.status is not None)


def _build_conditions(shape: _FilterShape) -> Sequence[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if shape.search is not None:
        conditions.append(ORG_NAMES.build_condition(shape.search))
    if shape.region:
        conditions.append(Org.region_code >= bindparam("region_begin"))
        conditions.append(Org.region_code < bindparam("region_end"))
    # Literals, not parameters: the planner uses the partial indexes of closed and outside-party orgs only for literals.
    if shape.kind:
        conditions.append(Org.kind == bindparam("kind", type_=Text(), literal_execute=True))
    if shape.status:
        conditions.append(Org.status == bindparam("status", type_=Text(), literal_execute=True))
    return conditions


def _get_filter_parameters(wanted: OrgFilter) -> dict[str, Any]:
    """Return the parameters of the statement that `_build_search` builds for the filter."""
    parameters: dict[str, Any] = {}
    if wanted.q is not None:
        parameters |= ORG_NAMES.build_parameters(wanted.q)
    if wanted.region_code is not None:
        begin = "" if wanted.region_code == NATION else wanted.region_code
        # A region's code begins with the code of the region that contains it, without that code's zeros at the end.
        while begin.endswith("00") and len(begin) <= 6:
            begin = begin[:-2]
        parameters |= {"region_begin": begin, "region_end": begin + ":"}  # ":" is the character after "9"
    if wanted.kind is not None:
        parameters["kind"] = wanted.kind
    if wanted.status is not None:
        parameters["status"] = wanted.status
    return parameters


UNIT_ENDED = func.coalesce(Unit.last_day < literal_column("(now() AT TIME ZONE 'Asia/Shanghai')::date"), False)
"""Whether the unit is a temporary branch past its last day."""
_PATHS = tree.build_unit_paths(_ORG_ID)
_UNITS = (
    select(
        Unit.id,
        Unit.parent_id,
        Unit.name,
        Unit.kind,
        Unit.position,
        Unit.last_day,
        UNIT_ENDED.label("ended"),
        Unit.version,
        _PATHS.c.path,
    )
    .join(_PATHS, _PATHS.c.id == Unit.id)
    .where(Unit.org_id == _ORG_ID)
)
_UNIT = _UNITS.where(Unit.id == bindparam("unit_id"))
_UNITS_IN_ORDER = PagedStatement(_UNITS, _PATHS.c.sort, Unit.id, row=UnitOut)


async def list_units(db: Readable, org_id: UUID, paging: Paging) -> Page[UnitOut]:
    """Return a page of the org's units with their paths. Each unit comes before its sub-units; siblings are ordered by
    position."""
    return Page[UnitOut].from_slice(await _UNITS_IN_ORDER.fetch(db, paging, org_id=org_id))


async def get_unit(db: Readable, org_id: UUID, unit_id: UUID) -> UnitOut:
    """Return a live unit of the org with its path. Raises NotFound."""
    return await one_or_404(db, _UNIT, UnitOut, {"org_id": org_id, "unit_id": unit_id})
