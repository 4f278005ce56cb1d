"""Reads of trends: the totals of an org day by day.

Stored days are read with statements that are built once for each viewer; other days are recounted.
"""

from collections.abc import Sequence
from datetime import date, datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    DateTime,
    Select,
    bindparam,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import array

from app.database.db import Readable
from app.database.driver import DriverStatement
from app.reports.periods import get_day_end
from app.reports.recount import SpanParameters, recount_figures
from app.reports.schemas import Counts, Number
from app.reports.stored_totals import DAYS, as_of, find_stored_days, select_stored_figures
from app.reports.suppression import mark_suppressed
from app.reports.totals import ORG, UNTIL, Viewer, select_org_days, select_totals


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


async def fetch_trend(db: Readable, org_id: UUID, days: Sequence[date], viewer: Viewer) -> list[TrendRow]:
    """Return the totals of the org on each of `days` that is stored, in the order of the days. If no day is stored,
    recount and return all days."""
    found = await find_stored_days(db, days)
    if found:
        requested = [day for day in days if day in found]
        return await _build_stored_trend(viewer).fetch(db, org_id=org_id, days=requested)
    counted = _build_recounted_trend(viewer)
    return [row for day in days for row in await counted.fetch(db, org_id=org_id, until=day, end=get_day_end(day))]


@cache
def _build_recounted_trend(viewer: Viewer) -> DriverStatement[TrendRow]:
    span = SpanParameters(since=UNTIL, until=UNTIL, end=bindparam("end", type_=DateTime(timezone=True)))
    statement = _build_trend(array([UNTIL]), recount_figures(ORG, span), func.now(), viewer)
    return DriverStatement(statement, "org_id", "until", "end", row=TrendRow)


@cache
def _build_stored_trend(viewer: Viewer) -> DriverStatement[TrendRow]:
    return DriverStatement(
        _build_trend(DAYS, select_stored_figures(select_org_days(DAYS), DAYS, 1), as_of(), viewer),
        "org_id",
        "days",
        row=TrendRow,
    )


def _build_trend(days: ColumnElement[Any], figures: CTE, as_of: ColumnElement[Any], viewer: Viewer) -> Select[Any]:
    parts = mark_suppressed(figures, viewer.threshold, is_own_admin=viewer.is_own_admin).cte("suppression")
    totals = select_totals(select_org_days(days), figures, parts, viewer).cte("totals")
    return select(as_of.label("as_of"), totals).order_by(totals.c.day)
