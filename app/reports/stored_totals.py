"""Reads of the stored figures. The figures of an org cost one stored row for the org and one for each direct
subordinate."""

from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    ColumnElement,
    Date,
    FromClause,
    Select,
    and_,
    any_,
    bindparam,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.database.db import Readable
from app.database.driver import DriverStatement
from app.reports.recount import COUNTS
from app.schema.points import PointDelta
from app.schema.reports import EdgeDelta, MemberDelta, OrgTotal, StoredDay, TreeEdge

DAYS: ColumnElement[Any] = bindparam("days", type_=ARRAY(Date))


def select_stored_figures(requested: FromClause, days: ColumnElement[Any], window: int) -> CTE:
    """Return the stored figures of orgs on days; the direct subordinates are those of the rolled-up tree. The rows and
    columns are those of `recount_figures`.

    `requested` has the columns day and org_id. `days` is an array of all these days; with it PostgreSQL selects the few
    needed partitions when it plans. The figures are of a window of `window` days.
    """
    active, points = f"active_{window}", f"points_{window}"
    subtree = [getattr(OrgTotal, name) for name in ("members", "activated", active, points)]
    own = [getattr(OrgTotal, f"own_{name}") for name in ("members", "activated", active, points)]
    of_day = and_(OrgTotal.day == requested.c.day, OrgTotal.day == any_(days))
    is_subordinate = and_(
        TreeEdge.superior_id == requested.c.org_id, TreeEdge.since <= requested.c.day, TreeEdge.before > requested.c.day
    )

    def select_scope(scope: str, of: Any, org_id: Any, columns: Sequence[ColumnElement[int]]) -> Select[Any]:
        named = (column.label(name) for column, name in zip(columns, COUNTS, strict=True))
        return select(of.c.day, of.c.org_id, literal(scope).label("scope"), org_id.label("id"), *named).select_from(of)

    # The row of the org itself is read once for both of its scopes.
    here = (
        select(requested.c.day, requested.c.org_id, *subtree, *own)
        .join(OrgTotal, and_(OrgTotal.org_id == requested.c.org_id, of_day))
        .cte("here")
    )
    return union_all(
        select_scope("subtree", here, here.c.org_id, [here.c[column.name] for column in subtree]),
        select_scope("own", here, here.c.org_id, [here.c[column.name] for column in own]),
        select_scope("branch", requested, TreeEdge.subordinate_id, [func.coalesce(column, 0) for column in subtree])
        .join(TreeEdge, is_subordinate)
        .outerjoin(OrgTotal, and_(OrgTotal.org_id == TreeEdge.subordinate_id, of_day)),
    ).cte("figures")


def as_of() -> ColumnElement[Any]:
    """Return an expression for the instant of the stored figures, which contain all writes before it: the time of the
    oldest waiting delta, or now if no delta waits."""
    oldest = (
        select(deltas.at).order_by(deltas.id).limit(1).scalar_subquery()
        for deltas in (PointDelta, MemberDelta, EdgeDelta)
    )
    return func.least(func.now(), *oldest)


def is_day_stored(day: ColumnElement[date]) -> ColumnElement[bool]:
    """Return whether the totals of a day are stored."""
    return select(StoredDay.day).where(StoredDay.day == day).exists()


class DayRow(NamedTuple):
    day: date


_KEPT = DriverStatement(select(StoredDay.day).where(StoredDay.day == any_(DAYS)), "days", row=DayRow)


async def find_stored_days(db: Readable, days: Sequence[date]) -> set[date]:
    """Return the days among `days` whose totals are stored."""
    return {row.day for row in await _KEPT.fetch(db, days=days)}
