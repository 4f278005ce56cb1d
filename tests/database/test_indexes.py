"""Index builds beside the service: the next `xuezu migrate` repairs an interrupted build."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from app.core.settings import CannotStart
from app.core.startup import show_nothing
from app.database.indexes import repair_indexes
from app.database.migration import migrate, migrate_to_head
from app.database.schema_compatibility import get_head_revision
from tests.processes import build_environment

ROOT = Path(__file__).parents[2]
BEFORE, INDEX = "0014", "activations_org_id_member_id_idx"
"""Revision 0015 builds this index."""


@pytest.fixture
async def db(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def writer(database: str) -> AsyncIterator[asyncpg.Connection]:
    """Return a transaction that writes the table, in a database before revision 0015. The build of 0015 waits for
    it."""
    await asyncio.to_thread(migrate, database, BEFORE)
    connection = await asyncpg.connect(database)
    await connection.execute("BEGIN; LOCK TABLE activations IN ROW EXCLUSIVE MODE")
    yield connection
    await connection.close()


async def is_valid(db: asyncpg.Connection, index: str) -> bool | None:
    """Return whether the index is valid, or None if it does not exist."""
    valid: bool | None = await db.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)", index)
    return valid


async def revision(db: asyncpg.Connection) -> str:
    return str(await db.fetchval("SELECT version_num FROM alembic_version"))


async def waiting_build(db: asyncpg.Connection) -> int:
    """Return the pid of the server process that waits in the middle of a build."""
    while True:
        pid: int | None = await db.fetchval(
            "SELECT pid FROM pg_stat_progress_create_index WHERE lockers_total > 0 AND datname = current_database()"
        )
        if pid is not None:
            return pid
        await asyncio.sleep(0.02)


async def test_killed_build_is_repaired_by_the_next_migration(
    database: str, db: asyncpg.Connection, writer: asyncpg.Connection
) -> None:
    migrating = asyncio.create_task(migrate_to_head(database))
    await db.execute("SELECT pg_terminate_backend($1)", await waiting_build(db))
    with pytest.raises(CannotStart):
        await migrating
    assert (await is_valid(db, INDEX), await revision(db)) == (False, BEFORE)

    await writer.execute("COMMIT")
    await migrate_to_head(database)
    assert (await is_valid(db, INDEX), await revision(db)) == (True, get_head_revision())


async def test_migration_waits_for_a_build_that_outlives_its_client(
    database: str, db: asyncpg.Connection, writer: asyncpg.Connection
) -> None:
    command = (sys.executable, "-m", "app.cli", "migrate")
    client = await asyncio.create_subprocess_exec(
        *command, env=build_environment(XUEZU_DATABASE_URL=database), cwd=ROOT, stdout=asyncio.subprocess.DEVNULL
    )
    building = await waiting_build(db)
    client.kill()
    await client.wait()

    migrating = asyncio.create_task(migrate_to_head(database))
    done, _ = await asyncio.wait({migrating}, timeout=0.5)
    assert not done
    assert await waiting_build(db) == building
    await writer.execute("COMMIT")
    await migrating
    assert (await is_valid(db, INDEX), await revision(db)) == (True, get_head_revision())


async def test_partitioned_index_is_completed_after_a_kill(database: str, db: asyncpg.Connection) -> None:
    """Revision 0019 was killed: the index of one partition is invalid and that of another is not attached."""
    index = "point_events_user_id_day_idx"
    await asyncio.to_thread(migrate, database, "0018")
    for day in ("2026-01-01", "2026-01-02"):
        await db.execute("SELECT make_partition('point_events', $1::text::date, $1::text::date + 1)", day)
    await db.execute(f"CREATE INDEX {index} ON ONLY point_events (user_id, day)")
    for day in ("20260101", "20260102"):
        await db.execute(
            f"CREATE INDEX point_events_{day}_user_id_day_idx ON partitions.point_events_{day} (user_id, day)"
        )
    killed = "partitions.point_events_20260101_user_id_day_idx"
    await db.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass($1)", killed)
    await asyncio.to_thread(migrate, database, "0019")
    assert await db.fetchval("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0
    assert await db.fetchval("SELECT count(*) FROM pg_inherits WHERE inhparent = to_regclass($1)", index) == 2
    assert await is_valid(db, index)


async def test_invalid_index_at_the_head_is_rebuilt_and_leftover_is_dropped(
    database: str, db: asyncpg.Connection
) -> None:
    await migrate_to_head(database)
    await db.execute(f"CREATE INDEX {INDEX}_ccnew ON activations (org_id, member_id)")
    for index in (INDEX, f"{INDEX}_ccnew"):  # the leftovers of a killed build and REINDEX CONCURRENTLY
        await db.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass($1)", index)
    lines: list[str] = []
    await migrate_to_head(database, show=lines.append)
    assert lines == [f"Mending the index {name}: its build was ended half way" for name in (INDEX, f"{INDEX}_ccnew")]
    assert await is_valid(db, INDEX)
    assert await db.fetchval("SELECT count(*) FROM pg_class WHERE relname ~ '_cc(new|old)'") == 0


async def test_invalid_index_that_cannot_be_rebuilt_is_refused_with_the_reason(db: asyncpg.Connection) -> None:
    await db.execute("CREATE TABLE things (name text)")
    await db.execute("INSERT INTO things VALUES ('one'), ('one')")
    with pytest.raises(asyncpg.UniqueViolationError):
        await db.execute("CREATE UNIQUE INDEX CONCURRENTLY things_name_key ON things (name)")
    with pytest.raises(CannotStart, match=r"things_name_key is not valid and cannot be rebuilt \(could not create"):
        await repair_indexes(db, show_nothing)
    await db.execute("TRUNCATE things")
    await repair_indexes(db, show_nothing)
    assert await is_valid(db, "things_name_key")
    assert await db.fetchval("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0


async def test_migration_refuses_a_partitioned_index_that_lacks_a_partition(db: asyncpg.Connection) -> None:
    await db.execute("CREATE TABLE days (day date) PARTITION BY RANGE (day)")
    await db.execute("CREATE TABLE day_one PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2026-01-02')")
    await db.execute("CREATE INDEX days_day_idx ON ONLY days (day)")
    with pytest.raises(CannotStart, match="not every partition of days has its part of it"):
        await repair_indexes(db, show_nothing)


def test_migrations_build_indexes_only_with_create_index() -> None:
    written = {path.name: path.read_text("utf-8") for path in (ROOT / "migrations" / "versions").glob("*.py")}
    found = ("postgresql_concurrently", "INDEX CONCURRENTLY")
    assert [name for name, source in written.items() if any(word in source for word in found)] == []
