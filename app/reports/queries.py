"""Reads of overviews and trends. Each is one statement, so that all figures of a response are of one instant.

Stored days are read with statements that are built once for each combination of options; other days are recounted.
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
from app.reports.periods import Span, get_day_end
from app.reports.recount import COUNTS, SpanParameters, recount_figures
from app.reports.schemas import Counts, Number, Sort
from app.reports.stored_totals import DAYS, as_of, find_stored_days, is_day_stored, select_stored_figures
from app.reports.suppression import can_be_deduced, is_below_threshold, mark_suppressed
from app.schema.orgs import Org
from app.web.errors import Invalid

ORG: BindParameter[UUID] = bindparam("org_id", type_=Uuid())
UNTIL: BindParameter[date] = bindparam("until", type_=Date())
BEFORE: ColumnElement[date] = bindparam("before", type_=Date())


@dataclass(frozen=True, slots=True)
class Viewer:
    """The person who reads a report. The org's own admins (`is_own_admin`) know its people and see its figures.

    Totals of fewer than `threshold` people are suppressed.
    """

    is_own_admin: bool
    threshold: int


@dataclass(frozen=True, slots=True)
class Listing:
    """The requested subordinates: their order and the page."""

    sort: Sort
    descending: bool
    paging: Paging

    @property
    def order(self) -> str:
        """The first value in a cursor of this listing. A listing in another order refuses the cursor."""
        return f"{self.sort}{'-' if self.descending else '+'}"

    def build_parameters(self) -> dict[str, object]:
        """Return the page's limit and position as parameters of the statement.

        Raises Invalid for a cursor of another order.
        """
        parameters: dict[str, object] = {"limit": self.paging.rows}
        if self.paging.after is None:
            return parameters
        order, after_group, after_key, after_id = self.paging.after
        if order != self.order or isinstance(after_key, str) != (self.sort is Sort.NAME):
            wrong = {"pointer": "query/cursor", "code": "cursor", "detail": gettext("该 cursor 属于另一种排序")}
            raise Invalid(errors=[wrong])
        return parameters | {"after_group": after_group, "after_key": after_key, "after_id": after_id}


class OverviewRow(NamedTuple):
    """A row of the overview: the totals (only in the first row, NULL in the others) and a subordinate.

    `prev_…` are the totals of the previous span. `id` and the columns after it are NULL if the page has no subordinate.
    """

    as_of: datetime
    stored: bool
    prev_stored: bool
    own_members: Number
    own_activated: Number
    own_active: Number
    own_points: Number
    sub_members: Number
    sub_activated: Number
    sub_active: Number
    sub_points: Number
    own_suppressed: bool
    sub_suppressed: bool
    prev_own_members: Number
    prev_own_activated: Number
    prev_own_active: Number
    prev_own_points: Number
    prev_sub_members: Number
    prev_sub_activated: Number
    prev_sub_active: Number
    prev_sub_points: Number
    prev_own_suppressed: bool
    prev_sub_suppressed: bool
    id: UUID
    name: str
    members: Number
    activated: Number
    active: Number
    points: Number
    suppressed: bool
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
    own_suppressed: bool
    sub_suppressed: bool

    @property
    def own(self) -> Counts:
        return Counts(self.own_members, self.own_activated, self.own_active, self.own_points)

    @property
    def subtree(self) -> Counts:
        return Counts(self.sub_members, self.sub_activated, self.sub_active, self.sub_points)


@dataclass(frozen=True, slots=True)
class Overview:
    """The result of `read_overview`. `subordinates` has one row more than the page if there is a next page."""

    totals: OverviewRow
    subordinates: list[OverviewRow]
    has_previous: bool
    """Whether the totals of the previous span are known."""


async def read_overview(db: Readable, org_id: UUID, span: Span, viewer: Viewer, listing: Listing) -> Overview:
    """Return the org's totals, those of the previous span, and a page of its subordinates.

    A day that is not stored is recounted from the sources. The previous span is not recounted only for the comparison
    with a stored day. Raises Invalid for a cursor of another order.
    """
    parameters = {"org_id": org_id, "until": span.until, "before": span.before.until} | listing.build_parameters()
    has_cursor = listing.paging.after is not None
    statement = _stored_overview(span.days, viewer, listing.sort, listing.descending, has_cursor)
    rows = await statement.fetch(db, **parameters)
    if rows[0].stored:
        return _make_overview(rows, rows[0].prev_stored)
    now, then = recount_figures(org_id, span, "now"), recount_figures(org_id, span.before, "then")
    both = union_all(select(now), select(then)).cte("figures")
    metadata = (func.now().label("as_of"), literal(False).label("stored"), literal(False).label("prev_stored"))
    counted = _build_overview(both, metadata, viewer, listing.sort, listing.descending, has_cursor)
    return _make_overview(await fetch_rows(db, counted, OverviewRow, parameters), has_previous=True)


def _make_overview(rows: Sequence[OverviewRow], has_previous: bool) -> Overview:
    return Overview(rows[0], [row for row in rows if row.id is not None], has_previous)


@cache
def _stored_overview(
    window: int, viewer: Viewer, sort: Sort, descending: bool, has_cursor: bool
) -> DriverStatement[OverviewRow]:
    figures = select_stored_figures(_select_org_days(array([UNTIL, BEFORE])), array([UNTIL, BEFORE]), window)
    metadata = (
        as_of().label("as_of"),
        is_day_stored(UNTIL).label("stored"),
        is_day_stored(BEFORE).label("prev_stored"),
    )
    statement = _build_overview(figures, metadata, viewer, sort, descending, has_cursor)
    page = ("limit", "after_group", "after_key", "after_id") if has_cursor else ("limit",)
    return DriverStatement(statement, "org_id", "until", "before", *page, row=OverviewRow)


def _select_org_days(days: ColumnElement[Any]) -> Subquery:
    """Return a subquery with the org on each of the days: day, org_id."""
    return select(func.unnest(days).label("day"), ORG.label("org_id")).subquery("requested")


def _build_overview(
    figures: CTE, metadata: Sequence[ColumnElement[Any]], viewer: Viewer, sort: Sort, descending: bool, has_cursor: bool
) -> Select[Any]:
    """Build the statement. Its parameters are org_id, until, before, limit, with a cursor also after_group,
    after_key and after_id.

    Only the first row contains the totals and the `metadata`: reading them from every row was a third of the cost.
    """
    parts = mark_suppressed(figures, viewer.threshold, is_own_admin=viewer.is_own_admin).cte("suppression")
    totals = _build_totals(_select_org_days(array([UNTIL, BEFORE])), figures, parts, viewer).cte("totals")
    now, then = totals.alias("now"), totals.alias("previous")
    first = (
        select(
            literal(1, BigInteger()).label("position"),
            *metadata,
            *(column for column in now.c if column.name != "day"),
            *(column.label(f"prev_{column.name}") for column in then.c if column.name != "day"),
        )
        .select_from(now.join(then, and_(now.c.day == UNTIL, then.c.day == BEFORE)))
        .subquery("first")
    )
    found = _build_page(parts, sort, descending, has_cursor).subquery("found")
    in_order = (found.c.sort_group, _apply_direction(found.c.sort_key, descending), found.c.id)
    page = select(found, func.row_number().over(order_by=in_order).label("position")).subquery("page")
    return (
        select(*(column for both in (first, page) for column in both.c if column.name != "position"))
        .select_from(first.outerjoin(page, page.c.position == first.c.position, full=True))
        .order_by(func.coalesce(page.c.position, 1))
    )


def _build_totals(requested: FromClause, figures: CTE, parts: CTE, viewer: Viewer) -> Select[Any]:
    """Return, for each requested day: day, own_…, sub_…, own_suppressed, sub_suppressed.

    `parts` are the parts of `figures` with the column `suppressed`.
    """
    suppressed = select(parts).where(parts.c.suppressed).cte("suppressed")
    counted = select(figures).where(figures.c.scope != "branch").subquery("whole")
    here = and_(counted.c.day == requested.c.day, counted.c.org_id == requested.c.org_id)

    def of(scope: str, count: str) -> ColumnElement[int]:
        return func.coalesce(func.max(counted.c[count]).filter(counted.c.scope == scope), 0)

    own_hidden = select(suppressed.c.id).where(suppressed.c.day == requested.c.day, suppressed.c.scope == "own")
    own_suppressed: ColumnElement[bool] = own_hidden.correlate(requested).exists()
    sub_suppressed = is_below_threshold(of("subtree", "members"), viewer.threshold)
    if viewer.is_own_admin:
        own_suppressed, sub_suppressed = literal(value=False), can_be_deduced(suppressed, requested, viewer.threshold)
    columns: list[ColumnElement[Any]] = [
        of(scope, count).label(f"{prefix}_{count}")
        for prefix, scope in (("own", "own"), ("sub", "subtree"))
        for count in COUNTS
    ]
    withheld = (own_suppressed.label("own_suppressed"), sub_suppressed.label("sub_suppressed"))
    return (
        select(requested.c.day, *columns, *withheld)
        .select_from(requested.outerjoin(counted, here))
        .group_by(requested.c.day, requested.c.org_id)
    )


def _build_page(parts: CTE, sort: Sort, descending: bool, has_cursor: bool) -> Select[Any]:
    rows = (
        select(parts.c.id, Org.name, *(parts.c[count] for count in COUNTS), parts.c.suppressed)
        .join(Org, Org.id == parts.c.id)
        .where(parts.c.scope == "branch", parts.c.day == UNTIL)
        .subquery("rows")
    )
    key: ColumnElement[Any] = rows.c.name
    group: ColumnElement[bool] = literal(value=False)
    if sort is not Sort.NAME:
        # Suppressed figures come last in every order, so that their position reveals nothing.
        group = rows.c.suppressed
        key = case((rows.c.suppressed, 0.0), else_=_build_sort_key(rows, sort))
    keyed = select(rows, group.label("sort_group"), key.label("sort_key")).subquery("keyed")
    order = (keyed.c.sort_group, _apply_direction(keyed.c.sort_key, descending), keyed.c.id)
    statement = select(keyed).order_by(*order).limit(bindparam("limit", type_=Integer()))
    if has_cursor:
        after_group: ColumnElement[bool] = bindparam("after_group", type_=Boolean())
        after_key: ColumnElement[Any] = bindparam("after_key", type_=Text() if sort is Sort.NAME else Float())
        after_id: ColumnElement[UUID] = bindparam("after_id", type_=Uuid())
        statement = statement.where(is_after(order, (after_group, after_key, after_id)))
    return statement


def _build_sort_key(rows: Subquery, sort: Sort) -> ColumnElement[float]:
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


def _apply_direction(key: ColumnElement[Any], descending: bool) -> ColumnElement[Any]:
    return key.desc() if descending else key.asc()


async def read_trend(db: Readable, org_id: UUID, days: Sequence[date], viewer: Viewer) -> list[TrendRow]:
    """Return the org's totals of the stored days among `days`. If none is stored, recount all of them. In day order."""
    found = await find_stored_days(db, days)
    if found:
        requested = [day for day in days if day in found]
        return await _stored_trend(viewer).fetch(db, org_id=org_id, days=requested)
    counted = _recounted_trend(viewer)
    return [row for day in days for row in await counted.fetch(db, org_id=org_id, until=day, end=get_day_end(day))]


@cache
def _recounted_trend(viewer: Viewer) -> DriverStatement[TrendRow]:
    span = SpanParameters(since=UNTIL, until=UNTIL, end=bindparam("end", type_=DateTime(timezone=True)))
    statement = _build_trend(array([UNTIL]), recount_figures(ORG, span), func.now(), viewer)
    return DriverStatement(statement, "org_id", "until", "end", row=TrendRow)


@cache
def _stored_trend(viewer: Viewer) -> DriverStatement[TrendRow]:
    return DriverStatement(
        _build_trend(DAYS, select_stored_figures(_select_org_days(DAYS), DAYS, 1), as_of(), viewer),
        "org_id",
        "days",
        row=TrendRow,
    )


def _build_trend(days: ColumnElement[Any], figures: CTE, as_of: ColumnElement[Any], viewer: Viewer) -> Select[Any]:
    parts = mark_suppressed(figures, viewer.threshold, is_own_admin=viewer.is_own_admin).cte("suppression")
    totals = _build_totals(_select_org_days(days), figures, parts, viewer).cte("totals")
    return select(as_of.label("as_of"), totals).order_by(totals.c.day)
