"""Tables become partitioned while they have rows and are written, and only expired partitions are dropped."""

import asyncio
import runpy
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from app.audit_log import retention
from app.core.calendar import today
from app.database import migration
from app.database.partitions import drop_partitions
from tests.databases import create_test_engine

TABLES = ("point_event_keys", "audit_entries", "outgoing_events")

# As the release before wrote them.
_WRITE = """
WITH key AS (INSERT INTO point_event_keys (source, event_id) VALUES ('before', $1)),
entry AS (
    INSERT INTO audit_entries (action, subject_type) VALUES ('a', $1) RETURNING id, action, subject_type
)
INSERT INTO outgoing_events (type, subject_type, audit_entry_id) SELECT action, subject_type, id FROM entry
"""


async def count_rows(connection: asyncpg.Connection) -> list[int]:
    return [await connection.fetchval(f"SELECT count(*) FROM {table}") for table in TABLES]


async def test_tables_with_rows_become_partitioned_and_the_release_before_still_writes(database: str) -> None:
    await _migrate(database, "0059")
    connection = await asyncpg.connect(database)
    for n in range(3):
        await connection.execute(_WRITE, f"early-{n}")
    files = [await connection.fetchval("SELECT pg_relation_filenode($1)", table) for table in TABLES]
    await _migrate(database, "0060")
    firsts = [f"partitions.{table}_first" for table in TABLES]
    assert [await connection.fetchval("SELECT pg_relation_filenode($1)", first) for first in firsts] == files, (
        "no row is copied"
    )
    await connection.execute(_WRITE, "late")
    assert await count_rows(connection) == [4, 4, 4]
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(_WRITE, "early-0")
    for table in (*TABLES, *firsts, await connection.fetchval("SELECT max(name) FROM list_partitions($1)", TABLES[1])):
        for change in (f"DELETE FROM {table}", f"TRUNCATE {table}"):
            with pytest.raises(asyncpg.PostgresError, match=r"append-only|is never changed|refuse"):
                await connection.execute(change)
    for table in TABLES[1:]:
        bounds = await connection.fetch("SELECT since, before FROM list_partitions($1) ORDER BY before", table)
        assert all(one["before"] == other["since"] for one, other in pairwise(bounds))
        assert bounds[-1]["before"] > today() + timedelta(days=150)
    await connection.close()


async def _migrate(database: str, revision: str) -> None:
    await asyncio.to_thread(migration.migrate, database, revision)


async def test_migration_that_was_killed_before_the_swap_runs_again(database: str) -> None:
    await _migrate(database, "0059")
    revision = runpy.run_path(str(Path(migration.__file__).parents[2] / "migrations/versions/0060_partitioned_keys.py"))
    connection = await asyncpg.connect(database)
    await connection.execute(_WRITE, "early")
    # What is committed before the constraints are validated, which takes long and is killed.
    await connection.execute(revision["_ADD_PERIOD"])
    for table, (column, bound) in revision["_FIRST_BOUND"].items():
        await connection.execute(revision["_FUNCTIONS"][0].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
        await connection.execute(revision["_CONSTRAIN"].format(table=table, column=column, bound=bound))
    await connection.execute(_WRITE, "meanwhile")
    await _migrate(database, "0060")
    assert await count_rows(connection) == [2, 2, 2]
    await connection.close()


async def test_events_are_dropped_by_months_and_entries_are_kept(database: str) -> None:
    await migration.migrate_to_head(database)
    connection = await asyncpg.connect(database)
    # A database that has had partitions for years.
    month = today().replace(day=1) - timedelta(days=1)
    months = []
    for table in TABLES[1:]:
        await connection.execute(f"ALTER TABLE {table} DETACH PARTITION partitions.{table}_first")
    for _ in range(8):
        month = month.replace(day=1)
        months.append(month)
        for table in TABLES[1:]:
            await connection.execute(
                "SELECT make_partition($1, $2, ($2::date + interval '1 month')::date)", table, month
            )
            at = datetime(month.year, month.month, 15, tzinfo=UTC)
            values = {
                "audit_entries": "(id, action, subject_type)",
                "outgoing_events": "(id, type, subject_type, audit_entry_id)",
            }
            more = ", uuidv7()" if table == "outgoing_events" else ""
            await connection.execute(
                f"INSERT INTO {table} {values[table]} VALUES ($1, 'a', 'b'{more})", UUID(int=make_uuid(at))
            )
        month -= timedelta(days=1)
    engine = create_test_engine(database)
    while True:
        async with engine.begin() as db:
            if not await retention.drop_events(db, 1):
                break
    async with engine.begin() as db:
        await retention.create_partitions(db, 1)
        with pytest.raises(Exception, match="is no partition"):
            await db.exec_driver_sql("SELECT drop_partition('outgoing_events', 'users')")
    await engine.dispose()
    kept = [each for each in months if (each + timedelta(days=32)).replace(day=1) > today() - retention.EVENT_RETENTION]
    assert len(kept) in (3, 4)
    assert await connection.fetchval("SELECT count(*) FROM outgoing_events") == len(kept)
    assert await connection.fetchval("SELECT count(*) FROM audit_entries") == 8
    await connection.close()


def make_uuid(at: datetime) -> int:
    """Return a version 7 UUID of a time as a number (RFC 9562)."""
    return (round(at.timestamp() * 1000) << 80) | (7 << 76) | (2 << 62) | 12345


async def test_partition_in_use_is_left_for_the_next_run(database: str) -> None:
    await migration.migrate_to_head(database)
    engine = create_test_engine(database)
    long_ago = today() - timedelta(days=500)
    async with engine.begin() as db:
        await db.exec_driver_sql(f"SELECT make_partition('org_totals', '{long_ago}', '{long_ago}'::date + 1)")
    async with engine.connect() as reader, engine.connect() as db:
        await reader.exec_driver_sql(f"SELECT * FROM partitions.org_totals_{long_ago:%Y%m%d}")
        assert await drop_partitions(db, "org_totals", today(), 5) == 0
        await reader.rollback()
        assert await drop_partitions(db, "org_totals", today() - timedelta(days=400), 5) == 1
    await engine.dispose()
