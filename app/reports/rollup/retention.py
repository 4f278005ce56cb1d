"""Days to come, whose partitions are made ahead, and days that are over.

Over are the scores of days before yesterday and the totals of days that no report goes back to.

A partition is dropped whole. That takes a lock which every reader of the table would wait behind, so that it is asked
for a moment only; who does not get it tries again when the next day is kept.
"""

from datetime import date, timedelta

import asyncpg

from app.reports.periods import DAYS_KEPT

_MOMENT = "200ms"

_PAST = """
SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = $1::text::regclass AND to_date(right(c.relname, 8), 'YYYYMMDD') < $2
ORDER BY c.relname
"""


DAYS_AHEAD = 2

_AHEAD = """
SELECT make_partition('point_events', day::date, day::date + 1)
FROM generate_series($1::date, $1::date + $2::int, interval '1 day') AS day
"""


async def make_days_ahead(connection: asyncpg.Connection, today: date) -> None:
    """Make the ledger's partitions of today and the days after, so that no batch waits for one at midnight."""
    await connection.execute(_AHEAD, today, DAYS_AHEAD)


async def drop_past_days(connection: asyncpg.Connection, today: date) -> int:
    """Drop what is kept of days that nobody asks for any more; gives how many partitions went."""
    yesterday, first_kept = today - timedelta(days=1), today - timedelta(days=DAYS_KEPT)
    await connection.execute("DELETE FROM kept_days WHERE day < $1", first_kept)
    await connection.execute("DELETE FROM score_steps WHERE day < $1", yesterday)
    dropped = 0
    for table, first in (("org_scores", yesterday), ("org_totals", first_kept)):
        for row in await connection.fetch(_PAST, table, first):
            try:
                async with connection.transaction():
                    await connection.execute(f"SET LOCAL lock_timeout = '{_MOMENT}'")
                    await connection.execute(f"DROP TABLE partitions.{row['relname']}")
            except asyncpg.LockNotAvailableError:
                continue
            dropped += 1
    return dropped
