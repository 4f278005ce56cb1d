"""The migration that adds the index by user and day to a ledger that has partitions already."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from app.database.migration import migrate


@pytest.fixture
async def database_before_index(server_url: str) -> AsyncIterator[tuple[str, asyncpg.Connection]]:
    """A database one migration before the index, with one event on each of two days: address and connection."""
    name = f"ledger_index_{uuid4().hex}"
    server = await asyncpg.connect(server_url)
    await server.execute(f"CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'")
    url = server_url.replace("/postgres?", f"/{name}?")
    await asyncio.to_thread(migrate, url, "0018")
    connection = await asyncpg.connect(url)
    await connection.execute("""
        SELECT make_partition('point_events', day::date, day::date + 1)
        FROM generate_series('2026-11-01', '2026-11-02', interval '1 day') AS day;
        INSERT INTO point_events (user_id, day, source, event_id, points, kind, occurred_at)
        SELECT gen_random_uuid(), day::date, 'source', 'event', 1, 'article', day
        FROM generate_series('2026-11-01', '2026-11-02', interval '1 day') AS day
    """)
    yield url, connection
    await connection.close()
    await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await server.close()


async def read_indexes(connection: asyncpg.Connection) -> dict[str, bool]:
    """Return whether each index of the ledger and its partitions is valid, by name."""
    found = await connection.fetch(
        "SELECT indexrelid::regclass::text AS name, indisvalid FROM pg_index "
        "WHERE indrelid::regclass::text ~ '^(partitions.)?point_events'"
    )
    return {row["name"]: row["indisvalid"] for row in found}


ALL_VALID_INDEXES = {
    "point_events_user_id_day_idx": True,
    "partitions.point_events_20261101_user_id_day_idx": True,
    "partitions.point_events_20261102_user_id_day_idx": True,
}


async def test_migration_adds_index_to_every_partition(database_before_index: tuple[str, asyncpg.Connection]) -> None:
    url, connection = database_before_index
    await asyncio.to_thread(migrate, url, "0019")
    assert await read_indexes(connection) == ALL_VALID_INDEXES
    await connection.execute("SELECT make_partition('point_events', '2026-11-03', '2026-11-04')")
    assert await read_indexes(connection) == ALL_VALID_INDEXES | {
        "partitions.point_events_20261103_user_id_day_idx": True
    }


async def test_killed_migration_is_continued(database_before_index: tuple[str, asyncpg.Connection]) -> None:
    url, connection = database_before_index
    await connection.execute("""
        CREATE INDEX point_events_user_id_day_idx ON ONLY point_events (user_id, day);
        CREATE INDEX point_events_20261101_user_id_day_idx ON partitions.point_events_20261101 (user_id, day);
        ALTER INDEX point_events_user_id_day_idx ATTACH PARTITION partitions.point_events_20261101_user_id_day_idx;
        CREATE INDEX point_events_20261102_user_id_day_idx ON partitions.point_events_20261102 (user_id, day);
        UPDATE pg_index SET indisvalid = false
        WHERE indexrelid = 'partitions.point_events_20261102_user_id_day_idx'::regclass
    """)
    await asyncio.to_thread(migrate, url, "0019")
    assert await read_indexes(connection) == ALL_VALID_INDEXES
