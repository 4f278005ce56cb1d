"""Reads of overviews. Each is one statement, so that all figures of a response are of one instant.

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
    Boolean,
    ColumnElement,
    Date,
    Float,
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
from app.reports.periods import Span
from app.reports.recount import COUNTS, recount_figures
from app.reports.schemas import Counts, Number, Sort
from app.reports.stored_totals import as_of, is_day_stored, select_stored_figures
from app.reports.suppression import mark_suppressed
from app.reports.totals import UNTIL, Viewer, select_org_days, select_totals
from app.schema.orgs import Org
from app.web.errors import Invalid

BEFORE: ColumnElement[date] = bindparam("before", type_=Date())


@dataclass(frozen=True, slots=True)
class Listing:
    """The request for a page of the list of subordinates: the order of the list, and the page."""

    sort: Sort
    descending: bool
    paging: Paging

    @property
    def order(self) -> str:
        """Return the first value that a cursor of this list contains: the name of the order. A list in another order
        refuses the cursor."""
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
    """A row of the statement: the totals of the org, and one subordinate with its figures.

    The totals are in the first row only; in the others they are NULL. `prev_…` are the totals of the previous span.
    `id` and the columns after it are NULL if the page has no subordinate.
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


@dataclass(frozen=True, slots=True)
class Overview:
    """The result of `fetch_overview`. `subordinates` has one row more than the page if there is a next page."""

    totals: OverviewRow
    subordinates: list[OverviewRow]
    has_previous: bool
    """Whether the totals of the previous span are known."""


async def fetch_overview(db: Readable, org_id: UUID, span: Span, viewer: Viewer, listing: Listing) -> Overview:
    """Return the org's totals of the span and of the previous span, and a page of its subordinates.

    If the last day of the span is not stored, the figures of both spans are recounted from the sources. If it is stored
    and the previous span is not, the result has no totals of the previous span, because a recount is expensive. Raises
    Invalid for a cursor of another order.
    """
    parameters = {"org_id": org_id, "until": span.until, "before": span.before.until} | listing.build_parameters()
    has_cursor = listing.paging.after is not None
    statement = _build_stored_overview(span.days, viewer, listing.sort, listing.descending, has_cursor)
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
def _build_stored_overview(
    window: int, viewer: Viewer, sort: Sort, descending: bool, has_cursor: bool
) -> DriverStatement[OverviewRow]:
    figures = select_stored_figures(select_org_days(array([UNTIL, BEFORE])), array([UNTIL, BEFORE]), window)
    metadata = (
        as_of().label("as_of"),
        is_day_stored(UNTIL).label("stored"),
        is_day_stored(BEFORE).label("prev_stored"),
    )
    statement = _build_overview(figures, metadata, viewer, sort, descending, has_cursor)
    page = ("limit", "after_group", "after_key", "after_id") if has_cursor else ("limit",)
    return DriverStatement(statement, "org_id", "until", "before", *page, row=OverviewRow)


def _build_overview(
    figures: CTE, metadata: Sequence[ColumnElement[Any]], viewer: Viewer, sort: Sort, descending: bool, has_cursor: bool
) -> Select[Any]:
    """Return the statement of an overview. Its parameters are org_id, until, before and limit; with a cursor also
    after_group, after_key and after_id.

    Only the first row contains the totals and the `metadata`: reading them from every row was a third of the cost.
    """
    parts = mark_suppressed(figures, viewer.threshold, is_own_admin=viewer.is_own_admin).cte("suppression")
    totals = select_totals(select_org_days(array([UNTIL, BEFORE])), figures, parts, viewer).cte("totals")
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
    found = _select_subordinates(parts, sort, descending, has_cursor).subquery("found")
    in_order = (found.c.sort_group, _apply_direction(found.c.sort_key, descending), found.c.id)
    page = select(found, func.row_number().over(order_by=in_order).label("position")).subquery("page")
    return (
        select(*(column for both in (first, page) for column in both.c if column.name != "position"))
        .select_from(first.outerjoin(page, page.c.position == first.c.position, full=True))
        .order_by(func.coalesce(page.c.position, 1))
    )


def _select_subordinates(parts: CTE, sort: Sort, descending: bool, has_cursor: bool) -> Select[Any]:
    rows = (
        select(
            parts.c.id, Org.name, *(parts.c[count] for count in COUNTS), parts.c.suppressed, Org.sort_key.label("key")
        )
        .join(Org, Org.id == parts.c.id)
        .where(parts.c.scope == "branch", parts.c.day == UNTIL)
        .subquery("rows")
    )
    key: ColumnElement[Any] = rows.c.key
    group: ColumnElement[bool] = literal(value=False)
    if sort is not Sort.NAME:
        # Suppressed figures come last in every order, so that their position reveals nothing.
        group = rows.c.suppressed
        key = case((rows.c.suppressed, 0.0), else_=_build_sort_key(rows, sort))
    shown = (column for column in rows.c if column.name != "key")
    keyed = select(*shown, group.label("sort_group"), key.label("sort_key")).subquery("keyed")
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
