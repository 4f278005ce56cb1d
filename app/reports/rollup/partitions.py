"""Partitions of the ledger and of its keys for future days. `app.points` removes those of past days."""

from datetime import date

import asyncpg

FUTURE_DAYS = 2

_CREATE_PARTITIONS = """
SELECT make_partition('point_events', day::date, day::date + 1),
    make_partition('point_event_keys', key_period_of(day::date), key_period_of(day::date) + 16)
FROM generate_series($1::date, $1::date + $2::int, interval '1 day') AS day
"""


async def create_future_partitions(connection: asyncpg.Connection, today: date) -> None:
    """Create the partitions of the ledger and of its keys for today and the next FUTURE_DAYS days, so that no batch of
    events waits at midnight until a partition exists."""
    await connection.execute(_CREATE_PARTITIONS, today, FUTURE_DAYS)
