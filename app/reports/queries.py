"""Reads of overviews and trends. One statement each, so that all figures of an answer are of one instant.

What is kept is read by statements that are built once for each way of asking; what is not kept is counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    CTE,
    BigInteger,
    BindParameter,
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    Float,
    FromClause,
    Integer,
    Select,
    Subquery,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import array

from app.core.i18n import gettext
from app.database.db import Readable
from app.database.driver import DriverStatement
from app.database.paging import Paging, is_after
from app.database.rows import fetch_rows
from app.reports.periods import Span, end_of
from app.reports.recount import COUNTS, SpanAsked, recounted
from app.reports.schemas import Counts, Number, Sort
from app.reports.stored_totals import DAYS, as_of, find_kept, is_kept, kept
from app.reports.suppression import exposed, judged, too_few
from app.schema.orgs import Org
from app.web.errors import Invalid

ORG: BindParameter[UUID] = bindparam("org_id", type_=Uuid())
UNTIL: BindParameter[date] = bindparam("until", type_=Date())
BEFORE: ColumnElement[date] = bindparam("before", type_=Date())


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

    def parameters(self) -> dict[str, object]:
        """The page's position as parameters of the statement. Raises Invalid for a cursor of another order."""
        given: dict[str, object] = {"limit": self.paging.rows}
        if self.paging.after is None:
            return given
        order, after_group, after_key, after_id = self.paging.after
        if order != self.order or isinstance(after_key, str) != (self.sort is Sort.NAME):
            wrong = {"pointer": "query/cursor", "code": "cursor", "detail": gettext("该 cursor 属于另一种排序")}
            raise Invalid(errors=[wrong])
        return given | {"after_group": after_group, "after_key": after_key, "after_id": after_id}


class OverviewRow(NamedTuple):
    """A row of the overview: totals in the first row alone (NULL in the others), and a subordinate.

    `prev_…` are the totals of the span before. `id` and what follows it are NULL if the page has no subordinate.
    """

    as_of: datetime
    kept: bool
    prev_kept: bool
    own_members: Number
    own_activated: Number
    own_active: Number
    own_points: Number
    sub_members: Number
    sub_activated: Number
    sub_active: Number
    sub_points: Number
    own_withheld: bool
    sub_withheld: bool
    prev_own_members: Number
    prev_own_activated: Number
    prev_own_active: Number
    prev_own_points: Number
    prev_sub_members: Number
    prev_sub_activated: Number
    prev_sub_active: Number
    prev_sub_points: Number
    prev_own_withheld: bool
    prev_sub_withheld: bool
    id: UUID
    name: str
    members: Number
    activated: Number
    active: Number
    points: Number
    withheld: bool
    sort_group: bool
    sort_key: str | float

    @property
    def own(self) -> Counts:
        return Counts(self.own_members, self.own_activated, self.own_active, self.own_points)

    @property
    def subtree(self) -> Counts:
        return Counts(self.sub_members, self.sub_activated, self.sub_active, self.sub_points)

    @property
    def previous_own(self) -> Counts:
        return Counts(self.prev_own_members, self.prev_own_activated, self.prev_own_active, self.prev_own_points)

    @property
    def previous_subtree(self) -> Counts:
        return Counts(self.prev_sub_members, self.prev_sub_activated, self.prev_sub_active, self.prev_sub_points)


class TrendRow(NamedTuple):
    """The totals of one day."""

    as_of: datetime
    day: date
    own_members: Number
    own_activated: Number
    own_active: Number
    own_points: Number
    sub_members: Number
    sub_activated: Number
    sub_active: Number
    sub_points: Number
    own_withheld: bool
    sub_withheld: bool

    @property
    def own(self) -> Counts:
        return Counts(self.own_members, self.own_activated, self.own_active, self.own_points)

    @property
    def subtree(self) -> Counts:
        return Counts(self.sub_members, self.sub_activated, self.sub_active, self.sub_points)


@dataclass(frozen=True, slots=True)
class Overview:
    """What `read_overview` found; `subordinates` are one more than the page holds if there is a next page."""

    totals: OverviewRow
    subordinates: list[OverviewRow]
    compared: bool
    """Whether the span before is counted."""


async def read_overview(db: Readable, org_id: UUID, span: Span, viewer: Viewer, listing: Listing) -> Overview:
    """The org's totals, those of the span before, and a page of its subordinates.

    A day that is not kept is counted from the sources; but it is not counted only to compare a kept one with it.
    """
    given = {"org_id": org_id, "until": span.until, "before": span.before.until} | listing.parameters()
    further = listing.paging.after is not None
    statement = _kept_overview(span.days, viewer, listing.sort, listing.descending, further)
    rows = await statement.fetch(db, **given)
    if rows[0].kept:
        return _overview_of(rows, rows[0].prev_kept)
    now, then = recounted(org_id, span, "now"), recounted(org_id, span.before, "then")
    both = union_all(select(now), select(then)).cte("figures")
    told = (func.now().label("as_of"), literal(False).label("kept"), literal(False).label("prev_kept"))
    counted = _overview(both, told, viewer, listing.sort, listing.descending, further)
    return _overview_of(await fetch_rows(db, counted, OverviewRow, given), compared=True)


def _overview_of(rows: Sequence[OverviewRow], compared: bool) -> Overview:
    return Overview(rows[0], [row for row in rows if row.id is not None], compared)


@cache
def _kept_overview(
    window: int, viewer: Viewer, sort: Sort, descending: bool, further: bool
) -> DriverStatement[OverviewRow]:
    figures = kept(_asked(array([UNTIL, BEFORE])), array([UNTIL, BEFORE]), window)
    told = (as_of().label("as_of"), is_kept(UNTIL).label("kept"), is_kept(BEFORE).label("prev_kept"))
    statement = _overview(figures, told, viewer, sort, descending, further)
    page = ("limit", "after_group", "after_key", "after_id") if further else ("limit",)
    return DriverStatement(statement, "org_id", "until", "before", *page, row=OverviewRow)


def _asked(days: ColumnElement[Any]) -> Subquery:
    """The org on each of the days: day, org_id."""
    return select(func.unnest(days).label("day"), ORG.label("org_id")).subquery("asked")


def _overview(
    figures: CTE, told: Sequence[ColumnElement[Any]], viewer: Viewer, sort: Sort, descending: bool, further: bool
) -> Select[Any]:
    """Parameters: org_id, until, before, limit; of a page `further` down also after_group, after_key, after_id.

    The totals, and what is `told` beside them, stand in the first row alone: reading them off every row was a third
    of what the rows cost.
    """
    parts = judged(figures, viewer.threshold, inside=viewer.inside).cte("judged")
    totals = _totals(_asked(array([UNTIL, BEFORE])), figures, parts, viewer).cte("totals")
    now, then = totals.alias("now"), totals.alias("previous")
    first = (
        select(
            literal(1, BigInteger()).label("place"),
            *told,
            *(column for column in now.c if column.name != "day"),
            *(column.label(f"prev_{column.name}") for column in then.c if column.name != "day"),
        )
        .select_from(now.join(then, and_(now.c.day == UNTIL, then.c.day == BEFORE)))
        .subquery("first")
    )
    found = _page(parts, sort, descending, further).subquery("found")
    in_order = (found.c.sort_group, _directed(found.c.sort_key, descending), found.c.id)
    page = select(found, func.row_number().over(order_by=in_order).label("place")).subquery("page")
    return (
        select(*(column for both in (first, page) for column in both.c if column.name != "place"))
        .select_from(first.outerjoin(page, page.c.place == first.c.place, full=True))
        .order_by(func.coalesce(page.c.place, 1))
    )


def _totals(asked: FromClause, figures: CTE, parts: CTE, viewer: Viewer) -> Select[Any]:
    """Of each day asked for: day; own_…, sub_… with own_withheld, sub_withheld. `parts` are those of the figures,
    judged."""
    hidden = select(parts).where(parts.c.withheld).cte("hidden")
    counted = select(figures).where(figures.c.scope != "branch").subquery("whole")
    here = and_(counted.c.day == asked.c.day, counted.c.org_id == asked.c.org_id)

    def of(scope: str, count: str) -> ColumnElement[int]:
        return func.coalesce(func.max(counted.c[count]).filter(counted.c.scope == scope), 0)

    own_hidden = select(hidden.c.id).where(hidden.c.day == asked.c.day, hidden.c.scope == "own")
    own_withheld: ColumnElement[bool] = own_hidden.correlate(asked).exists()
    sub_withheld = too_few(of("subtree", "members"), viewer.threshold)
    if viewer.inside:
        own_withheld, sub_withheld = literal(value=False), exposed(hidden, asked, viewer.threshold)
    columns: list[ColumnElement[Any]] = [
        of(scope, count).label(f"{prefix}_{count}")
        for prefix, scope in (("own", "own"), ("sub", "subtree"))
        for count in COUNTS
    ]
    withheld = (own_withheld.label("own_withheld"), sub_withheld.label("sub_withheld"))
    return (
        select(asked.c.day, *columns, *withheld)
        .select_from(asked.outerjoin(counted, here))
        .group_by(asked.c.day, asked.c.org_id)
    )


def _page(parts: CTE, sort: Sort, descending: bool, further: bool) -> Select[Any]:
    rows = (
        select(parts.c.id, Org.name, *(parts.c[count] for count in COUNTS), parts.c.withheld)
        .join(Org, Org.id == parts.c.id)
        .where(parts.c.scope == "branch", parts.c.day == UNTIL)
        .subquery("rows")
    )
    key: ColumnElement[Any] = rows.c.name
    group: ColumnElement[bool] = literal(value=False)
    if sort is not Sort.NAME:
        # What is withheld comes last whatever the order, so that its place tells nothing.
        group = rows.c.withheld
        key = case((rows.c.withheld, 0.0), else_=_sorted_by(rows, sort))
    keyed = select(rows, group.label("sort_group"), key.label("sort_key")).subquery("keyed")
    order = (keyed.c.sort_group, _directed(keyed.c.sort_key, descending), keyed.c.id)
    statement = select(keyed).order_by(*order).limit(bindparam("limit", type_=Integer()))
    if further:
        after_group: ColumnElement[bool] = bindparam("after_group", type_=Boolean())
        after_key: ColumnElement[Any] = bindparam("after_key", type_=Text() if sort is Sort.NAME else Float())
        after_id: ColumnElement[UUID] = bindparam("after_id", type_=Uuid())
        statement = statement.where(is_after(order, (after_group, after_key, after_id)))
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


def _directed(key: ColumnElement[Any], descending: bool) -> ColumnElement[Any]:
    return key.desc() if descending else key.asc()


async def read_trend(db: Readable, org_id: UUID, days: Sequence[date], viewer: Viewer) -> list[TrendRow]:
    """The org's totals of those of the days that are stored; if none is, of all of them, counted. In their order."""
    found = await find_kept(db, days)
    if found:
        asked = [day for day in days if day in found]
        return await _kept_trend(viewer).fetch(db, org_id=org_id, days=asked)
    counted = _counted_trend(viewer)
    return [row for day in days for row in await counted.fetch(db, org_id=org_id, until=day, end=end_of(day))]


@cache
def _counted_trend(viewer: Viewer) -> DriverStatement[TrendRow]:
    span = SpanAsked(since=UNTIL, until=UNTIL, end=bindparam("end", type_=DateTime(timezone=True)))
    statement = _trend(array([UNTIL]), recounted(ORG, span), func.now(), viewer)
    return DriverStatement(statement, "org_id", "until", "end", row=TrendRow)


@cache
def _kept_trend(viewer: Viewer) -> DriverStatement[TrendRow]:
    return DriverStatement(_trend(DAYS, kept(_asked(DAYS), DAYS, 1), as_of(), viewer), "org_id", "days", row=TrendRow)


def _trend(days: ColumnElement[Any], figures: CTE, as_of: ColumnElement[Any], viewer: Viewer) -> Select[Any]:
    parts = judged(figures, viewer.threshold, inside=viewer.inside).cte("judged")
    totals = _totals(_asked(days), figures, parts, viewer).cte("totals")
    return select(as_of.label("as_of"), totals).order_by(totals.c.day)
