"""Reads of a learner's own points. They include every committed event.

Points by day come from the ledger, sums from the day rows plus the waiting deltas.
"""

from datetime import date
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text

from app.database.db import Readable
from app.database.rows import fetch_rows
from app.points.schemas import DayPointsOut, MyPointsOut

# A day whose events are archived still has its sum, in `user_days`.
_POINTS_BY_DAY = text("""
SELECT day, coalesce(l.points, d.points)::bigint AS points, coalesce(l.events, d.events)::int AS events,
    coalesce(l.kinds, '{}') AS kinds
FROM (
    SELECT day, sum(points) AS points, sum(events) AS events, jsonb_object_agg(kind, points) AS kinds
    FROM (
        SELECT day, kind, sum(points) AS points, count(*) AS events FROM point_events
        WHERE user_id = :user_id AND day BETWEEN :first AND :last GROUP BY day, kind
    ) AS by_kind
    GROUP BY day
) AS l
FULL JOIN (
    SELECT day, points, events FROM user_days WHERE user_id = :user_id AND day BETWEEN :first AND :last
) AS d USING (day)
ORDER BY day DESC
""")

_SUMS = text("""
SELECT coalesce(sum(points), 0)::bigint AS total,
    coalesce(sum(points) FILTER (WHERE day > CAST(:today AS date) - 7 AND day <= :today), 0)::bigint AS last_7_days
FROM (
    SELECT day, points FROM user_days WHERE user_id = :user_id
    UNION ALL
    SELECT waiting.day, waiting.points
    FROM point_deltas AS f, unnest(f.user_ids, f.days, f.points) AS waiting (user_id, day, points)
    WHERE waiting.user_id = :user_id
) AS days
""")


class _Sums(NamedTuple):
    total: int
    last_7_days: int


async def get_points(db: Readable, user_id: UUID, today: date, first: date, last: date) -> MyPointsOut:
    """Return a user's points: the total, the last seven days, and the days from `first` to `last` by kind."""
    (sums,) = await fetch_rows(db, _SUMS, _Sums, {"user_id": user_id, "today": today})
    between = {"user_id": user_id, "first": first, "last": last}
    return MyPointsOut(
        total=sums.total,
        last_7_days=sums.last_7_days,
        days=await fetch_rows(db, _POINTS_BY_DAY, DayPointsOut, between),
    )
