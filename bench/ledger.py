"""The limit for receiving and rolling up events: binary COPY of events into the same ledger."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from uuid import uuid4

import asyncpg

from app.core.calendar import today
from bench.cost import Cost
from bench.service import Measured

COLUMNS = ("user_id", "day", "source", "event_id", "points", "kind", "occurred_at")

_GENERATED = """
SELECT bench.id(1, 1 + n % 10000), $1::date, 'bench', 'copy-' || $2::text || '-' || n, 1 + n % 9, 'copy', now()
FROM generate_series(1, $3::int) AS n
"""
_SENT = """
SELECT user_id, $1::date, 'bench', event_id, points, kind, occurred_at
FROM jsonb_to_recordset($2::jsonb -> 'events')
    AS event (user_id uuid, event_id text, points int, kind text, occurred_at timestamptz)
"""


async def generate_rows(connection: asyncpg.Connection, count: int) -> list[bytes]:
    """Return `count` new events in the binary format of COPY, in pieces."""
    return await _encode_rows(connection, _GENERATED, today(), uuid4().hex[:12], count)


async def encode_body(connection: asyncpg.Connection, body: bytes) -> list[bytes]:
    """Return the events of a request body in the binary format of COPY, in pieces."""
    return await _encode_rows(connection, _SENT, today(), body.decode())


async def _encode_rows(connection: asyncpg.Connection, query: str, *arguments: object) -> list[bytes]:
    pieces: list[bytes] = []

    async def collect(piece: bytes) -> None:
        pieces.append(piece)

    await connection.copy_from_query(query, *arguments, output=collect, format="binary")
    return pieces


async def copy(
    measured: Measured, connection: asyncpg.Connection, pieces: Sequence[bytes], *, times: int = 1, seconds: float = 0.0
) -> tuple[Cost, int]:
    """COPY the events in `pieces` at least `times` times and for at least `seconds`, each time in a transaction that is
    rolled back. Return the cost of PostgreSQL and the number of copies. The dead rows are vacuumed afterwards."""
    await connection.execute("SELECT make_partition('point_events', $1, $2)", today(), today() + timedelta(days=1))

    async def source() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    whole, done = Cost(), 0
    while done < times or whole.wall < seconds:
        transaction = connection.transaction()
        await transaction.start()
        with measured.measure("postgres") as taken:
            await connection.copy_to_table("point_events", source=source(), columns=COLUMNS, format="binary")
        whole, done = whole + taken, done + 1
        await transaction.rollback()
    await connection.execute("VACUUM point_events")
    return whole, done
