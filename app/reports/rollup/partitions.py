"""Partitions of the ledger for future days. `retention` and `app.points.archive` remove those of past days."""

from datetime import date

import asyncpg

FUTURE_DAYS = 2

_CREATE_PARTITIONS = """
SELECT make_partition('point_events', day::date, day::date + 1)
FROM generate_series($1::date, $1::date + $2::int, interval '1 day') AS day
"""


async def create_future_partitions(connection: asyncpg.Connection, today: date) -> None:
    """Create the ledger's partitions for today and the next FUTURE_DAYS days, so that no batch of events waits at
    midnight until a partition exists."""
    await connection.execute(_CREATE_PARTITIONS, today, FUTURE_DAYS)
