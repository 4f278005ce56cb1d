"""The figures as they are kept: the time of one row, and of the rows of the direct subordinates."""

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


def kept(asked: FromClause, days: ColumnElement[Any], window: int) -> CTE:
    """The kept figures of orgs on days, with the tree as it was rolled up; columns as `recounted` has them.

    `asked` has their day and org_id; `days` is an array of all of these days, by which PostgreSQL finds the few
    partitions that are needed while it plans. `window` is of how many days the figures are.
    """
    active, points = f"active_{window}", f"points_{window}"
    subtree = [getattr(OrgTotal, name) for name in ("members", "activated", active, points)]
    own = [getattr(OrgTotal, f"own_{name}") for name in ("members", "activated", active, points)]
    of_day = and_(OrgTotal.day == asked.c.day, OrgTotal.day == any_(days))
    below = and_(TreeEdge.superior_id == asked.c.org_id, TreeEdge.since <= asked.c.day, TreeEdge.before > asked.c.day)

    def read(scope: str, of: Any, org_id: Any, columns: Sequence[ColumnElement[int]]) -> Select[Any]:
        named = (column.label(name) for column, name in zip(columns, COUNTS, strict=True))
        return select(of.c.day, of.c.org_id, literal(scope).label("scope"), org_id.label("id"), *named).select_from(of)

    # The org's own row is looked up once for both of its scopes.
    here = (
        select(asked.c.day, asked.c.org_id, *subtree, *own)
        .join(OrgTotal, and_(OrgTotal.org_id == asked.c.org_id, of_day))
        .cte("here")
    )
    return union_all(
        read("subtree", here, here.c.org_id, [here.c[column.name] for column in subtree]),
        read("own", here, here.c.org_id, [here.c[column.name] for column in own]),
        read("branch", asked, TreeEdge.subordinate_id, [func.coalesce(column, 0) for column in subtree])
        .join(TreeEdge, below)
        .outerjoin(OrgTotal, and_(OrgTotal.org_id == TreeEdge.subordinate_id, of_day)),
    ).cte("figures")


def as_of() -> ColumnElement[Any]:
    """The instant before which all that was written is in the kept figures: the oldest waiting fact's, or now."""
    oldest = (
        select(facts.at).order_by(facts.id).limit(1).scalar_subquery() for facts in (PointDelta, MemberDelta, EdgeDelta)
    )
    return func.least(func.now(), *oldest)


def is_kept(day: ColumnElement[date]) -> ColumnElement[bool]:
    """Whether the totals of a day are kept."""
    return select(StoredDay.day).where(StoredDay.day == day).exists()


class DayRow(NamedTuple):
    day: date


_KEPT = DriverStatement(select(StoredDay.day).where(StoredDay.day == any_(DAYS)), "days", row=DayRow)


async def find_kept(db: Readable, days: Sequence[date]) -> set[date]:
    """Those of the days whose totals are kept."""
    return {row.day for row in await _KEPT.fetch(db, days=days)}
