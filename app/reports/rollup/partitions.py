"""Partitions of the ledger for days to come. Those of past days go by `retention` and `app.points.archive`."""

from datetime import date

import asyncpg

DAYS_AHEAD = 2

_AHEAD = """
SELECT make_partition('point_events', day::date, day::date + 1)
FROM generate_series($1::date, $1::date + $2::int, interval '1 day') AS day
"""


async def make_days_ahead(connection: asyncpg.Connection, today: date) -> None:
    """Make the ledger's partitions of today and the days after, so that no batch waits for one at midnight."""
    await connection.execute(_AHEAD, today, DAYS_AHEAD)
