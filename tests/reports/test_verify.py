"""The verification finds every damaged row and reports no correct row, also while deltas wait. A rebuild repairs all
damage."""

import asyncio
import importlib
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import date, timedelta
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.calendar import today
from app.reports.rollup import edges
from app.reports.rollup.cycle import build_missing_days, run_cycle
from app.reports.rollup.points import MAX_BATCHES
from app.reports.rollup.rebuild import rebuild_all, rebuild_day
from app.reports.rollup.verify import find_differences
from tests.conftest import migrated_database
from tests.databases import create_test_engine
from tests.reports.test_rollup import History, apply_all_deltas, check_scores, check_totals, create_viewer, earn
from tests.reports.world import World, make_world, write_world


@pytest.fixture(scope="module")
def verify_url(server_url: str, worker_id: str) -> str:
    return migrated_database(server_url, f"xuezu_{worker_id}_verify")


@pytest.fixture
async def own_engine(verify_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_test_engine(verify_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def rollup(verify_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(verify_url)
    yield connection
    await connection.close()


async def make_changed_world(
    engine: AsyncEngine, rollup: asyncpg.Connection, chance: random.Random
) -> tuple[World, History]:
    world = make_world(chance, await create_viewer(engine), orgs=10, people=25)
    events, world.events = world.events, []
    await write_world(engine, world)
    async with engine.begin() as db:
        await earn(db, world, events)
    await apply_all_deltas(rollup)
    await build_missing_days(rollup, today(), tomorrow=True)
    # Fewer old days are enough, because they are built and compared in the same way.
    for table in ("stored_days", "org_totals"):
        await rollup.execute(f"DELETE FROM {table} WHERE day < $1", today() - timedelta(days=9))
    return world, History(chance, world)


async def list_difference_kinds(rollup: asyncpg.Connection) -> list[str]:
    return [difference.kind async for difference in find_differences(rollup)]


async def test_verification_finds_no_difference_while_deltas_wait(
    own_engine: AsyncEngine, rollup: asyncpg.Connection
) -> None:
    _, history = await make_changed_world(own_engine, rollup, random.Random(3))
    for _ in range(4):
        for _ in range(6):
            async with own_engine.begin() as db:
                await history.write_change(db)
        # This history writes deltas without a ledger, so the day rows are not compared.
        assert await list_difference_kinds(rollup) == []
        await run_cycle(rollup)
    assert await list_difference_kinds(rollup) == []


DAMAGES = {
    "total": "UPDATE org_totals SET points_7 = points_7 + 1 WHERE (org_id, day) = (SELECT org_id, day FROM org_totals "
    "WHERE members > 0 LIMIT 1)",
    "score": "UPDATE org_scores SET total = total - 1 WHERE (org_id, member_id, day) = "
    "(SELECT org_id, member_id, day FROM org_scores LIMIT 1)",
    "membership": "UPDATE memberships SET person = uuidv7() WHERE (org_id, member_id, since) = "
    "(SELECT org_id, member_id, since FROM memberships WHERE before = 'infinity' LIMIT 1)",
    "edge": "DELETE FROM tree_edges WHERE (subordinate_id, since) = "
    "(SELECT subordinate_id, since FROM tree_edges LIMIT 1)",
}


@pytest.mark.parametrize("what", DAMAGES)
async def test_damage_is_found_and_repaired_by_rebuild(
    own_engine: AsyncEngine, rollup: asyncpg.Connection, what: str
) -> None:
    world, _ = await make_changed_world(own_engine, rollup, random.Random(4))
    assert await list_difference_kinds(rollup) == []
    await rollup.execute(DAMAGES[what])
    assert what in await list_difference_kinds(rollup)
    await rebuild_all(rollup)
    assert await list_difference_kinds(rollup) == []
    await check_totals(rollup, world, [today()])


async def test_rollup_and_rebuild_continue_after_damage(own_engine: AsyncEngine, rollup: asyncpg.Connection) -> None:
    world, _ = await make_changed_world(own_engine, rollup, random.Random(9))
    await rollup.execute("DELETE FROM memberships")
    await rollup.execute("INSERT INTO member_deltas (org_id, member_id) SELECT org_id, id FROM members")
    await apply_all_deltas(rollup)
    await check_scores(rollup, world, today())
    await rebuild_all(rollup)
    assert await list_difference_kinds(rollup) == []
    await check_totals(rollup, world, [today()])


async def test_sums_larger_than_a_four_byte_float_are_exact(
    own_engine: AsyncEngine, rollup: asyncpg.Connection
) -> None:
    world, _ = await make_changed_world(own_engine, rollup, random.Random(13))
    earners = await rollup.fetchval(
        "SELECT count(*) FROM user_days WHERE user_id = ANY ($1) AND day > $2", world.users, today() - timedelta(days=7)
    )
    assert earners > 5
    await rollup.execute(
        "UPDATE user_days SET points = 2 ^ 48 + 1 WHERE user_id = ANY ($1) AND day > $2",
        world.users,
        today() - timedelta(days=7),
    )
    await rebuild_all(rollup)
    assert await list_difference_kinds(rollup) == []


async def test_rebuild_loses_no_waiting_deltas(own_engine: AsyncEngine, rollup: asyncpg.Connection) -> None:
    world, _ = await make_changed_world(own_engine, rollup, random.Random(10))
    batches = 2 * MAX_BATCHES + 1
    await rollup.execute(
        "INSERT INTO point_deltas (user_ids, days, points) "
        "SELECT ARRAY[$1::uuid], ARRAY[$2::date], ARRAY[1] FROM generate_series(1, $3)",
        world.users[0],
        today(),
        batches,
    )
    world.events += [(world.users[0], today(), 1)] * batches
    await rebuild_all(rollup)
    await check_totals(rollup, world, [today()])
    await check_scores(rollup, world, today())


async def test_correct_rows_are_not_written_again(own_engine: AsyncEngine, rollup: asyncpg.Connection) -> None:
    await make_changed_world(own_engine, rollup, random.Random(6))
    tables = ("memberships", "tree_edges", "org_totals", "org_scores")
    written = " UNION ALL ".join(f"SELECT '{name}', tableoid, ctid, xmin FROM {name}" for name in tables)
    before = {tuple(row) for row in await rollup.fetch(written)}
    await rollup.execute(DAMAGES["total"])
    await rebuild_all(rollup)
    after = {tuple(row) for row in await rollup.fetch(written)}
    assert [row[0] for row in after - before] == ["org_totals"]
    assert len(before - after) == 1


async def test_rebuild_runs_concurrently_with_the_rollup(
    own_engine: AsyncEngine, rollup: asyncpg.Connection, verify_url: str
) -> None:
    world, history = await make_changed_world(own_engine, rollup, random.Random(7))
    await rollup.execute("UPDATE org_totals SET members = members + 1")
    stored = await rollup.fetchval("SELECT count(*) FROM stored_days")
    beside = await asyncpg.connect(verify_url)
    built: list[date] = []
    try:
        rebuilding = asyncio.create_task(rebuild_all(rollup, on_day=built.append))
        applied = set()
        while not rebuilding.done():
            async with own_engine.begin() as db:
                await history.write_change(db)
            if await run_cycle(beside):
                applied.add(len(built))
            await asyncio.sleep(0)
        await rebuilding
    finally:
        await beside.close()
    assert len(built) == stored
    assert applied & set(range(1, stored))  # between days
    await apply_all_deltas(rollup)
    assert await list_difference_kinds(rollup) == []
    await check_totals(rollup, world, [today()])


WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'stored_days'::regclass AND NOT granted)"


@pytest.mark.parametrize("stored", ["meanwhile", "after it"])
async def test_next_day_is_not_prepared_from_a_day_not_yet_rebuilt(
    own_engine: AsyncEngine, rollup: asyncpg.Connection, verify_url: str, stored: str
) -> None:
    await make_changed_world(own_engine, rollup, random.Random(11))
    await rollup.execute("DELETE FROM stored_days WHERE day > $1", today())
    await rollup.execute("UPDATE org_totals SET members = members + 1")
    began, go_on = asyncio.Event(), asyncio.Event()
    if stored == "meanwhile":
        go_on.set()
    built: list[date] = []

    async def wait_for_rebuild() -> None:
        began.set()
        await go_on.wait()

    beside = await asyncpg.connect(verify_url)
    try:
        async with beside.transaction():
            await beside.execute("LOCK TABLE stored_days IN EXCLUSIVE MODE")
            rebuilding = asyncio.create_task(rebuild_all(rollup, on_day=built.append))
            while not await beside.fetchval(WAITS):  # noqa: ASYNC110 — the database has no event for it
                await asyncio.sleep(0.01)
        keeping = asyncio.create_task(build_missing_days(beside, today(), tomorrow=True, after_each=wait_for_rebuild))
        await began.wait()
        assert today() not in built
        if stored == "meanwhile":
            await keeping
            assert today() not in built
        await rebuilding
        go_on.set()
        await keeping
    finally:
        await beside.close()
    assert await list_difference_kinds(rollup) == []


class _EndedError(Exception):
    """The test raises this error in a rebuild to end it."""


async def test_stopped_rebuild_loses_no_deltas(
    own_engine: AsyncEngine, rollup: asyncpg.Connection, verify_url: str
) -> None:
    _, history = await make_changed_world(own_engine, rollup, random.Random(8))
    built: list[date] = []

    def end(day: date) -> None:
        built.append(day)
        raise _EndedError

    other = await asyncpg.connect(verify_url)
    try:
        # What is written while it waits to begin, it sees.
        async with other.transaction():
            await other.execute("LOCK TABLE stored_days IN EXCLUSIVE MODE")
            rebuilding = asyncio.create_task(rebuild_all(rollup, on_day=end))
            while not await other.fetchval(WAITS):  # noqa: ASYNC110 — the database has no event for it
                await asyncio.sleep(0.01)
            for _ in range(12):
                async with own_engine.begin() as db:
                    await history.write_change(db)
        with pytest.raises(_EndedError):
            await rebuilding
    finally:
        await other.close()
    assert len(built) == 1
    await apply_all_deltas(rollup)
    assert await list_difference_kinds(rollup) == []


async def test_many_moves_in_one_cycle_rebuild_the_days(
    own_engine: AsyncEngine, rollup: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edges, "MAX_MOVES", 0)
    world, history = await make_changed_world(own_engine, rollup, random.Random(5))
    for _ in range(8):
        async with own_engine.begin() as db:
            await history.end_certification(db)
            await history.certify_org(db)
    await apply_all_deltas(rollup)
    await check_totals(rollup, world, [today()])
    assert await list_difference_kinds(rollup) == []


def test_verify_command_without_differences_exits_with_zero(verify_url: str) -> None:
    environment = os.environ | {"XUEZU_DATABASE_URL": verify_url}
    command = [sys.executable, "-m", "app.cli", "totals", "verify", "--since", str(today())]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "The stored totals equal a recount."), done.stderr


async def test_rebuild_day_rebuilds_one_day_only(own_engine: AsyncEngine, rollup: asyncpg.Connection) -> None:
    await make_changed_world(own_engine, rollup, random.Random(12))
    await rollup.execute("UPDATE org_totals SET members = members + 1 WHERE day >= $1", today() - timedelta(days=1))
    assert await rebuild_day(rollup, today())
    wrong = {difference.key.split()[-1] async for difference in find_differences(rollup)}
    assert wrong == {str(today() - timedelta(days=1)), str(today() + timedelta(days=1))}
    assert not await rebuild_day(rollup, today() - timedelta(days=300))
    await rebuild_all(rollup)


def test_rebuild_command_rebuilds_stored_days_only(verify_url: str) -> None:
    environment = os.environ | {"XUEZU_DATABASE_URL": verify_url}
    for day, status, message in ((str(today()), 0, "built"), ("2020-01-01", 1, "is not stored")):
        command = [sys.executable, "-m", "app.cli", "totals", "rebuild", "--day", day]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout.strip()) == (status, f"{day} {message}"), done.stderr


async def test_missing_day_row_is_found_and_rebuilt_from_the_ledger(
    own_engine: AsyncEngine, rollup: asyncpg.Connection
) -> None:
    viewer: UUID = await create_viewer(own_engine)
    await rollup.execute("SELECT make_partition('point_events', $1, $1::date + 1)", today())
    await rollup.execute(
        "INSERT INTO point_events (user_id, day, source, event_id, points, kind, occurred_at) "
        "VALUES ($1, $2, 'test', 'lost', 5, 'article', now())",
        viewer,
        today(),
    )
    assert "day row" in await list_difference_kinds(rollup)
    await rebuild_all(rollup, day_rows=True)
    assert await list_difference_kinds(rollup) == []


async def test_migration_names_every_row_whose_person_it_changes(
    own_engine: AsyncEngine, rollup: asyncpg.Connection
) -> None:
    """Migration 0033 stores the phones of users and names each row that was counted before as another person."""
    migration = importlib.import_module("migrations.versions.0033_phones_of_users")
    world = make_world(random.Random(21), await create_viewer(own_engine), orgs=10, people=40)
    phones = [(user, phone, when) for user, phone, when in world.phones if when.until is None]
    assert len(phones) > 5
    world.phones, world.events = [], []
    await write_world(own_engine, world)
    await apply_all_deltas(rollup)
    await build_missing_days(rollup, today(), tomorrow=True)
    async with rollup.transaction():
        await rollup.execute("SET LOCAL session_replication_role = replica")
        for user, phone, when in phones:
            values = "phone_index = $2, phone_since = NULL, created_at = $3"
            await rollup.execute(f"UPDATE users SET {values} WHERE id = $1", user, phone, when.since)
    assert "membership" in await list_difference_kinds(rollup)
    world.phones = phones
    await rollup.execute(migration.CHANGED_PEOPLE)
    await apply_all_deltas(rollup)
    assert await list_difference_kinds(rollup) == []
    stored = await rollup.fetch("SELECT day FROM stored_days ORDER BY day")
    await check_totals(rollup, world, [row["day"] for row in stored[-8:]])
