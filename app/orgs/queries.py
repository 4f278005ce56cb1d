"""Reads of orgs and units."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    FromClause,
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
from app.authz.caller import CARD
from app.core.search import Spelling, name_matches
from app.database.db import Readable
from app.database.paging import Page, Paging, Slice, fetch_page, paginate
from app.database.rows import fetch_rows, one_or_404
from app.hierarchy import tree
from app.orgs.regions import NATION
from app.orgs.unit_schemas import UnitOut
from app.schema.admins import OrgAdmin
from app.schema.approvals import CertificationState
from app.schema.certification import Certification
from app.schema.members import Member
from app.schema.orgs import Org, Unit


async def get_card(db: AsyncConnection, org_id: UUID) -> OrgCard:
    """An org's card, read anew after it was written."""
    statement = select(*CARD).where(Org.id == org_id)
    return OrgCard(**(await db.execute(statement)).one()._mapping)


async def org_name_exists(db: Readable, name: str, region_code: str, but: UUID | None = None) -> bool:
    """Whether a live org of this name, other than `but`, is in this region."""
    same = exists().where(Org.region_code == region_code, Org.name == name, Org.status == "live")
    if but is not None:
        same = same.where(Org.id != but)
    return bool(await db.scalar(select(same)))


async def list_administered_regions(db: AsyncConnection, user_id: UUID) -> Sequence[str]:
    """The regions of the live orgs that the user administers."""
    statement = (
        select(Org.region_code)
        .join(OrgAdmin, OrgAdmin.org_id == Org.id)
        .where(OrgAdmin.user_id == user_id, Org.status == "live")
        .distinct()
    )
    return (await db.scalars(statement)).all()


class MyOrgRow(NamedTuple):
    """An org, and what a user is there: `main_admin`, `admin`, `member`."""

    id: UUID
    name: str
    kind: str
    status: str
    region_code: str
    roles: list[str]


async def list_my_orgs(db: Readable, user_id: UUID) -> list[MyOrgRow]:
    """The orgs that a user administers or is a live member of, the oldest first."""
    standing = union_all(
        # By the admin's row: of all orgs nobody knows by an index whose main admin somebody is.
        select(OrgAdmin.org_id.label("org_id"), literal("main_admin").label("role"))
        .join(Org, and_(Org.id == OrgAdmin.org_id, Org.main_admin_id == OrgAdmin.user_id))
        .where(OrgAdmin.user_id == user_id),
        select(OrgAdmin.org_id, literal("admin")).where(OrgAdmin.user_id == user_id),
        select(Member.org_id, literal("member")).where(Member.user_id == user_id, Member.removed_at.is_(None)),
    ).subquery()
    statement = (
        select(Org.id, Org.name, Org.kind, Org.status, Org.region_code, func.array_agg(standing.c.role).label("roles"))
        .join(standing, standing.c.org_id == Org.id)
        .group_by(Org.id)
        .order_by(Org.id)
    )
    return await fetch_rows(db, statement, MyOrgRow)


@dataclass(frozen=True, slots=True)
class OrgFilter:
    """Which of the orgs that a user may see are asked for; None: whatever it is."""

    q: str | None = None
    region_code: str | None = None
    kind: str | None = None
    status: str | None = None


# Up to here the orgs that a user sees are walked, and those that match are found among them; above, the orgs that
# match are gone through by name, and each is looked up from: of so many that are seen, a page is soon full.
FEW = 50_000

_Superior = aliased(Org, name="superior")
# 中共, which a party org's name begins with.
_OF_THE_PARTY = Spelling("zhonggong", "zg")


class OrgFoundRow(NamedTuple):
    """An org and its superior."""

    id: UUID
    name: str
    kind: str
    status: str
    region_code: str
    superior_id: UUID | None
    superior_name: str | None


async def search_orgs(db: Readable, user_id: UUID, wanted: OrgFilter, paging: Paging) -> Slice[OrgFoundRow]:
    """A page of the orgs that the user may see, by name: those they administer with all below, and those they are
    a member of. Nobody finds another."""
    administered = select(OrgAdmin.org_id).where(OrgAdmin.user_id == user_id)
    mine = select(Member.org_id).where(Member.user_id == user_id, Member.removed_at.is_(None))
    below = tree.subtrees(administered)
    some = select(below.c.id).limit(FEW + 1).subquery()
    if (await db.execute(select(func.count()).select_from(some))).scalar_one() <= FEW:
        seen = union(select(below.c.id), mine).subquery("seen")
        found = select(Org.id, Org.name).join(seen, seen.c.id == Org.id).where(*_conditions(wanted))
        # A fence: the planner knows nothing of how many are seen, and would rather go through all orgs by name.
        matching: FromClause = found.offset(0).subquery("matching")
        listed = select(matching.c.id, matching.c.name)
    else:
        matching = Org.__table__
        listed = select(matching.c.id, matching.c.name).where(*_conditions(wanted))
        listed = listed.where(or_(tree.is_under_one_of(Org, administered), matching.c.id.in_(mine)))
    page = paginate(listed, paging, matching.c.name, matching.c.id).subquery("page")
    edge = aliased(Certification)
    statement = (
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
    return Slice.cut(await fetch_rows(db, statement, OrgFoundRow), paging, lambda org: (org.name, org.id))


def name_has(wanted: str) -> ColumnElement[bool]:
    """Whether an org's name has this in it or begins so in letters: nanjing finds 中共南京市委员会 as 南京 does."""
    return name_matches(
        wanted,
        name=Org.name,
        grams=Org.name_grams,
        pinyin=Org.pinyin,
        initials=Org.initials,
        after=_OF_THE_PARTY,
    )


def _conditions(wanted: OrgFilter) -> Sequence[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.q is not None:
        found.append(name_has(wanted.q))
    if wanted.region_code is not None:
        found.append(_lies_in(wanted.region_code))
    # Written into the statement, not bound to it: an index of the few closed or outside-party orgs is found by value.
    if wanted.kind is not None:
        found.append(Org.kind == bindparam("kind", wanted.kind, literal_execute=True))
    if wanted.status is not None:
        found.append(Org.status == bindparam("status", wanted.status, literal_execute=True))
    return found


def _lies_in(region_code: str) -> ColumnElement[bool]:
    """In the region or one under it: a code begins with that of what it lies in, zeros at its end apart."""
    if region_code == NATION:
        return literal(True)
    begin = region_code
    while begin.endswith("00") and len(begin) <= 6:
        begin = begin[:-2]
    return (Org.region_code >= begin) & (Org.region_code < begin + ":")  # the character after 9


async def list_units(db: Readable, org_id: UUID, paging: Paging) -> Page[UnitOut]:
    """A page of the org's units with their paths, each before the units under it, siblings by position."""
    paths = tree.unit_paths(org_id)
    statement = select(*_UNIT_COLUMNS, paths.c.path).join(paths, paths.c.id == Unit.id).where(Unit.org_id == org_id)
    return Page[UnitOut].from_slice(await fetch_page(db, statement, paging, paths.c.sort, Unit.id, row=UnitOut))


_UNIT_COLUMNS = (Unit.id, Unit.parent_id, Unit.name, Unit.kind, Unit.position, Unit.version)


async def get_unit(db: Readable, org_id: UUID, unit_id: UUID) -> UnitOut:
    """A live unit of the org with its path. Raises NotFound."""
    paths = tree.unit_paths(org_id)
    statement = (
        select(*_UNIT_COLUMNS, paths.c.path)
        .join(paths, paths.c.id == Unit.id)
        .where(Unit.org_id == org_id, Unit.id == unit_id)
    )
    return await one_or_404(db, statement, UnitOut)
