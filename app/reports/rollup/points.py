"""Folding points: from the facts of batches to day rows, scores, and what their earners weigh."""

from datetime import date

import asyncpg

from app.reports.rollup.score_steps import stepping
from app.reports.rollup.scratch import EARNED, count, last_day

# So many batches at most in one fold: it stays short, and what is left is folded next.
BATCHES = 200

_TAKE = f"""
WITH taken AS (
    DELETE FROM point_facts WHERE id IN (SELECT id FROM point_facts ORDER BY id LIMIT {BATCHES})
    RETURNING user_ids, days, points
)
INSERT INTO fold_points
SELECT earned.user_id, earned.day, sum(earned.points), count(*)
FROM taken, unnest(taken.user_ids, taken.days, taken.points) AS earned (user_id, day, points)
GROUP BY earned.user_id, earned.day
"""

# On a kept day a window holds the points of its days; a user turns active in it by the first event there.
_WEIGHTS = f"""
INSERT INTO fold_weights
SELECT earned.kept, {EARNED}, earned.user_id, 0, 0,
    (earned.on_1 AND (former.day IS NULL OR former.day < earned.kept))::int,
    (earned.on_7 AND (former.day IS NULL OR former.day <= earned.last - 7))::int,
    (former.day IS NULL)::int,
    earned.points_1, earned.points_7, earned.points_30
FROM (
    SELECT k.day AS kept, w.last, f.user_id, bool_or(f.day = k.day) AS on_1, bool_or(f.day > w.last - 7) AS on_7,
        coalesce(sum(f.points) FILTER (WHERE f.day = k.day), 0) AS points_1,
        coalesce(sum(f.points) FILTER (WHERE f.day > w.last - 7), 0) AS points_7,
        sum(f.points) AS points_30
    FROM fold_points AS f JOIN fold_days AS k ON k.day BETWEEN f.day AND f.day + 30,
    LATERAL (SELECT {last_day("f.user_id")}) AS w (last)
    WHERE f.day BETWEEN w.last - 29 AND w.last
    GROUP BY k.day, w.last, f.user_id
) AS earned
LEFT JOIN LATERAL (
    SELECT d.day FROM user_days AS d
    WHERE d.user_id = earned.user_id AND d.day BETWEEN earned.last - 29 AND earned.last
    ORDER BY d.day DESC LIMIT 1
) AS former ON true
"""

SPOTS = f"""
INSERT INTO fold_spots
SELECT DISTINCT w.day, w.side, w.person, s.org_id
FROM fold_weights AS w JOIN standings AS s ON s.person = w.person AND s.since <= w.day AND s.before > w.day
WHERE w.side = {EARNED}
"""

_DAY_ROWS = """
INSERT INTO user_days AS d (user_id, day, points, events) SELECT user_id, day, points, events FROM fold_points
ON CONFLICT (user_id, day) DO UPDATE SET points = d.points + excluded.points, events = d.events + excluded.events
"""

_SCORES = stepping("""
UPDATE org_scores AS o SET last_7 = o.last_7 + earned.last_7, total = o.total + earned.total
FROM (
    SELECT k.day, f.user_id, sum(f.points) AS total,
        coalesce(sum(f.points) FILTER (WHERE f.day > k.day - 7), 0) AS last_7
    FROM fold_points AS f JOIN fold_days AS k ON k.scored AND k.day >= f.day
    GROUP BY k.day, f.user_id
) AS earned
JOIN standings AS s ON s.person = earned.user_id AND s.since <= earned.day AND s.before > earned.day
WHERE o.org_id = s.org_id AND o.member_id = s.member_id AND o.day = earned.day
RETURNING o.org_id, o.day, OLD.last_7 AS was_7, OLD.total AS was_total, NEW.last_7 AS now_7, NEW.total AS now_total
""")


async def fold_points(connection: asyncpg.Connection) -> bool:
    """Take point facts; write the day rows and scores, and note what is to be spread. Gives whether there were any."""
    if not await count(connection, _TAKE):
        return False
    await make_months(connection)
    await connection.execute(_WEIGHTS)
    await connection.execute(SPOTS)
    await connection.execute(_DAY_ROWS)
    await connection.execute(_SCORES)
    return True


async def make_months(connection: asyncpg.Connection) -> None:
    """See to it that the day rows of every month that is about to be written have their partition."""
    months: list[date] = [
        row["month"]
        for row in await connection.fetch("SELECT DISTINCT date_trunc('month', day)::date AS month FROM fold_points")
    ]
    for month in months:
        await connection.execute(
            "SELECT make_partition('user_days', $1::date, ($1::date + interval '1 month')::date)", month
        )
