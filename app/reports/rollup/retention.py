"""Daily partitions: made ahead for the ledger, dropped for scores and totals that no report reads any more.

Scores are needed for today, yesterday and tomorrow; totals for `DAYS_KEPT` days. A partition is dropped whole. That
takes a lock for which every reader of the table would queue, so the wait for it is short; a partition that could not
be locked is dropped with the next new day.
"""

from datetime import date, timedelta

import asyncpg

from app.reports.periods import DAYS_KEPT

DAYS_AHEAD = 2
LOCK_TIMEOUT = "200ms"

_MAKE_AHEAD = """
SELECT make_partition('point_events', day::date, day::date + 1)
FROM generate_series($1::date, $1::date + $2::int, interval '1 day') AS day
"""

# The first day comes from the partition's bound in the catalog and not from its name. Whatever row of pg_class the
# planner evaluates this for, also one that is no partition of this table, it is a day or NULL and raises nothing.
_PARTITIONS_BEFORE = """
SELECT name FROM (
    SELECT c.oid::regclass::text AS name,
        substring(pg_get_expr(c.relpartbound, c.oid) FROM $re$^FOR VALUES FROM \\('(\\d{4}-\\d\\d-\\d\\d)'\\)$re$)::date
            AS first_day
    FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = $1::text::regclass
) AS partitions
WHERE first_day < $2 ORDER BY first_day
"""


async def make_days_ahead(connection: asyncpg.Connection, today: date) -> None:
    """Make the ledger's partitions of today and the days after, so that no batch waits for one at midnight."""
    await connection.execute(_MAKE_AHEAD, today, DAYS_AHEAD)


async def drop_past_days(connection: asyncpg.Connection, today: date) -> int:
    """Drop totals and scores of days that no report reads any more. Returns how many partitions were dropped."""
    yesterday, first_kept = today - timedelta(days=1), today - timedelta(days=DAYS_KEPT)
    await connection.execute("DELETE FROM kept_days WHERE day < $1", first_kept)
    await connection.execute("DELETE FROM score_steps WHERE day < $1", yesterday)
    dropped = 0
    for table, first in (("org_scores", yesterday), ("org_totals", first_kept)):
        for row in await connection.fetch(_PARTITIONS_BEFORE, table, first):
            try:
                async with connection.transaction():
                    await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                    await connection.execute(f"DROP TABLE {row['name']}")
            except asyncpg.LockNotAvailableError:
                continue
            dropped += 1
    return dropped
