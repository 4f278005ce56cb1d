"""Reads of reports. One statement each, so that all figures of an answer are of one instant."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    Float,
    Row,
    Select,
    Subquery,
    and_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app.admins.tables import OrgAdmin
from app.errors import Invalid
from app.orgs import tree
from app.orgs.tables import Org, Unit
from app.paging import Paging
from app.reports.kept import as_of, find_kept, kept
from app.reports.periods import Span, end_of
from app.reports.recount import Figures, recounted, standings, summed
from app.reports.schemas import Sort
from app.reports.withholding import exposed, hidden_parts, too_few

_COUNTS = ("members", "activated", "active", "points")


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks: `inside` are the org's own admins, who know its people; nobody is told of fewer than `threshold`."""

    inside: bool
    threshold: int


@dataclass(frozen=True, slots=True)
class Listing:
    """Which subordinates are asked for: sorted how, and which page of them."""

    sort: Sort
    descending: bool
    paging: Paging

    @property
    def order(self) -> str:
        """What a cursor of this listing begins with: it is of no use to a listing in another order."""
        return f"{self.sort}{'-' if self.descending else '+'}"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a report's figures come from, and what instant they are of."""

    figures: Callable[[UUID, Span, str], Figures]
    as_of: ColumnElement[Any]


KEPT = Source(kept, as_of())
RECOUNT = Source(recounted, func.now())


@dataclass(frozen=True, slots=True)
class Overview:
    """Rows of `read_overview`; `compared` says whether the span before is told."""

    rows: Sequence[Row[Any]]
    compared: bool


async def read_overview(db: AsyncConnection, org_id: UUID, span: Span, viewer: Viewer, listing: Listing) -> Overview:
    """The org's figures, those of the span before, and a page of its subordinates: one row each, at least one row.

    Columns: as_of; own_…, sub_… with own_withheld, sub_withheld; the same behind prev_; and of a subordinate (id is
    null where there is none) id, name, the counts, withheld, sort_group, sort_key.
    A day that is not kept is counted from the sources; but it is not counted only to compare a kept one with it.
    """
    days = await find_kept(db, [span.until, span.before.until])
    source = KEPT if span.until in days else RECOUNT
    now, then = source.figures(org_id, span, "now"), source.figures(org_id, span.before, "then")
    hidden = _hidden(org_id, now, viewer, "now")
    totals = _totals(org_id, now, hidden, viewer).cte("totals")
    previous = _totals(org_id, then, _hidden(org_id, then, viewer, "then"), viewer).cte("previous")
    page = _page(now, hidden, listing).subquery("page")
    statement = (
        select(
            source.as_of.label("as_of"), totals, *(column.label(f"prev_{column.name}") for column in previous.c), page
        )
        .select_from(totals.join(previous, true()).outerjoin(page, true()))
        .order_by(page.c.sort_group, _directed(page.c.sort_key, listing), page.c.id)
    )
    return Overview((await db.execute(statement)).all(), source is RECOUNT or span.before.until in days)


def _hidden(org_id: UUID, figures: Figures, viewer: Viewer, name: str) -> CTE:
    """The parts of the org that are withheld from the viewer."""
    counted = figures.figures
    scopes = ["branch"] if viewer.inside else ["branch", "own"]
    parts = select(counted.c.id, counted.c.members).where(counted.c.scope.in_(scopes)).subquery()
    return hidden_parts(parts, viewer.threshold).cte(f"{name}_hidden")


def _totals(org_id: UUID, figures: Figures, hidden: CTE, viewer: Viewer) -> Select[Any]:
    counted = figures.figures

    def of(scope: str, count: str) -> ColumnElement[int]:
        return func.coalesce(func.max(counted.c[count]).filter(counted.c.scope == scope), 0)

    own_withheld: ColumnElement[bool] = select(hidden.c.id).where(hidden.c.id == org_id).exists()
    sub_withheld = too_few(of("subtree", "members"), viewer.threshold)
    if viewer.inside:
        own_withheld, sub_withheld = literal(value=False), exposed(hidden, viewer.threshold)
    columns: list[ColumnElement[Any]] = [
        of(scope, count).label(f"{prefix}_{count}")
        for prefix, scope in (("own", "own"), ("sub", "subtree"))
        for count in _COUNTS
    ]
    withheld = (own_withheld.label("own_withheld"), sub_withheld.label("sub_withheld"))
    return select(*columns, *withheld).select_from(counted)


def _page(figures: Figures, hidden: CTE, listing: Listing) -> Select[Any]:
    counted, branches = figures.figures, figures.branches
    rows = (
        select(
            branches.c.id,
            Org.name,
            *(func.coalesce(counted.c[count], 0).label(count) for count in _COUNTS),
            hidden.c.id.is_not(None).label("withheld"),
        )
        .join(Org, Org.id == branches.c.id)
        .outerjoin(counted, and_(counted.c.scope == "branch", counted.c.id == branches.c.id))
        .outerjoin(hidden, hidden.c.id == branches.c.id)
        .subquery("rows")
    )
    key: ColumnElement[Any] = rows.c.name
    group: ColumnElement[bool] = literal(value=False)
    if listing.sort is not Sort.NAME:
        # What is withheld comes last whatever the order, so that its place tells nothing.
        group = rows.c.withheld
        key = case((rows.c.withheld, 0.0), else_=_sorted_by(rows, listing.sort))
    keyed = select(rows, group.label("sort_group"), key.label("sort_key")).subquery("keyed")
    statement = (
        select(keyed)
        .order_by(keyed.c.sort_group, _directed(keyed.c.sort_key, listing), keyed.c.id)
        .limit(listing.paging.limit + 1)
    )
    if listing.paging.after is not None:
        order, after_group, after_key, after_id = listing.paging.after
        if order != listing.order or isinstance(after_key, str) != (listing.sort is Sort.NAME):
            wrong = {"pointer": "query/cursor", "code": "cursor", "detail": "a cursor of another order"}
            raise Invalid(errors=[wrong])
        bound = literal(after_key)
        behind = keyed.c.sort_key < bound if listing.descending else keyed.c.sort_key > bound
        statement = statement.where(
            or_(
                keyed.c.sort_group > literal(after_group),
                and_(
                    keyed.c.sort_group == literal(after_group),
                    or_(behind, and_(keyed.c.sort_key == bound, keyed.c.id > after_id)),
                ),
            )
        )
    return statement


def _sorted_by(rows: Subquery, sort: Sort) -> ColumnElement[float]:
    heads = func.nullif(rows.c.members, 0)
    by: dict[Sort, ColumnElement[Any]] = {
        Sort.MEMBERS: rows.c.members,
        Sort.ACTIVATED: rows.c.activated,
        Sort.ACTIVE: rows.c.active,
        Sort.POINTS: rows.c.points,
        Sort.POINTS_PER_HEAD: func.coalesce(cast(rows.c.points, Float) / heads, 0),
        Sort.PARTICIPATION: func.coalesce(cast(rows.c.active, Float) / heads, 0),
    }
    return cast(by[sort], Float)


def _directed(key: ColumnElement[Any], listing: Listing) -> ColumnElement[Any]:
    return key.desc() if listing.descending else key.asc()


@dataclass(frozen=True, slots=True)
class UnitReport:
    as_of: datetime
    rows: Sequence[Row[Any]]


async def read_units(db: AsyncConnection, org_id: UUID, span: Span) -> UnitReport:
    """The figures of every unit the org had at the end of the span, each with the units under it; in tree order."""
    reaches = tree.unit_reaches(org_id, span.end)
    people = standings(span.end)
    standing = (
        select(reaches.c.top, people.c.person, people.c.user_id)
        .join(people, and_(people.c.org_id == org_id, people.c.unit_id == reaches.c.id))
        .distinct()
        .subquery("standing")
    )
    counted = summed(standing, (standing.c.top,), span).subquery("counted")
    units = select(reaches.c.top).distinct().subquery("tops")
    columns: list[ColumnElement[Any]] = [func.coalesce(counted.c[count], 0).label(count) for count in _COUNTS]
    statement = (
        select(Unit.id, Unit.parent_id, Unit.name, Unit.kind, *columns)
        .join(units, units.c.top == Unit.id)
        .outerjoin(counted, counted.c.top == Unit.id)
        .where(Unit.org_id == org_id)
        .order_by(Unit.position, Unit.id)
    )
    as_of = (await db.execute(select(func.now()))).scalar_one()
    return UnitReport(as_of, (await db.execute(statement)).all())


async def list_trend_days(db: AsyncConnection, first: date, last: date) -> list[date]:
    """The days of a trend, oldest first: those that are kept, or where none is, all."""
    days = [first + timedelta(days=ahead) for ahead in range((last - first).days + 1)]
    found = await find_kept(db, days)
    return [day for day in days if day in found] if found else days


async def read_day(db: AsyncConnection, org_id: UUID, day: date, viewer: Viewer) -> Any:
    """The org's own and its subtree's figures of one day: own_…, sub_…, own_withheld, sub_withheld, as_of."""
    source = await _source_of(db, day)
    figures = source.figures(org_id, Span(day, 1), "day")
    totals = _totals(org_id, figures, _hidden(org_id, figures, viewer, "day"), viewer).cte("totals")
    return (await db.execute(select(source.as_of.label("as_of"), totals))).one()


async def is_withheld_above(db: AsyncConnection, org_id: UUID, user_id: UUID, day: date, threshold: int) -> bool:
    """Whether an org, or one between it and the nearest org above it that the user administers, is withheld there."""
    source = await _source_of(db, day)
    chain = tree.ancestors_at(org_id, end_of(day))
    administers = select(OrgAdmin.org_id).where(OrgAdmin.org_id == chain.c.id, OrgAdmin.user_id == user_id).exists()
    above = await db.execute(select(chain.c.id, administers.label("inside")).order_by(chain.c.distance))
    below: UUID | None = None
    for superior in above.all():
        if below is not None:
            viewer = Viewer(superior.inside, threshold)
            figures = source.figures(superior.id, Span(day, 1), "part")
            hidden = _hidden(superior.id, figures, viewer, "part")
            if await db.scalar(select(select(hidden.c.id).where(hidden.c.id == below).exists())):
                return True
        if superior.inside:
            return False
        below = superior.id
    return False


async def _source_of(db: AsyncConnection, day: date) -> Source:
    return KEPT if await find_kept(db, [day]) else RECOUNT
