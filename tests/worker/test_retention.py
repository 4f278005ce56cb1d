"""The registry of clean-ups: it covers every table, deletes expired data, and runs as scheduled jobs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.settings import Settings
from app.database.retention import CleanUp, Schedule
from app.worker import retention, worker
from app.worker.retention import CLEAN_UPS, STORED_FOREVER, request_clean_up, run_clean_up
from app.worker.worker import run_worker
from tests.people import People, fresh_org_name
from tests.retention import clean_up

DOCUMENT = Path(__file__).parents[2] / "docs" / "RETENTION.md"
INTERVALS = {
    Schedule.EVERY_MINUTE: "every minute",
    Schedule.EVERY_TEN_MINUTES: "every ten minutes",
    Schedule.HOURLY: "every hour",
    Schedule.DAILY: "every day",
}

TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
"""
MESSAGES = """
INSERT INTO simulated_messages (phone_index, text_cipher, created_at, arrives_at)
SELECT '\\x00', '\\x00', now() - interval '25 hours', now() FROM generate_series(1, :count)
"""


def get_clean_up(name: str) -> CleanUp:
    return next(entry for entry in CLEAN_UPS if entry.name == name)


# The registry


async def test_every_table_has_a_clean_up_or_is_stored_forever(db: AsyncConnection) -> None:
    cleaned = {table for entry in CLEAN_UPS for table in entry.tables}
    stored = [table for tables in STORED_FOREVER.values() for table in tables]
    assert len(stored) == len(set(stored))
    found = set(await db.scalars(text(TABLES)))
    assert found - cleaned - set(stored) == set(), "say in app/worker/retention.py what becomes of these tables"
    assert (cleaned | set(stored)) - found == set(), "no such table"
    assert cleaned & set(stored) == set()


def test_clean_up_names_are_unique() -> None:
    assert len({entry.name for entry in CLEAN_UPS}) == len(CLEAN_UPS)


def describe(after: timedelta) -> str:
    if not after:
        return "as soon as"
    return f"{after.days} day{'s' if after.days > 1 else ''} after"


def test_retention_document_matches_the_registry() -> None:
    rows = [
        f"| {entry.deletes} | {describe(entry.after)} {entry.since} | {INTERVALS[entry.schedule]} | `{entry.name}` |"
        for entry in CLEAN_UPS
    ]
    stored = [f"| {', '.join(f'`{table}`' for table in tables)} | {why} |" for why, tables in STORED_FOREVER.items()]
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")]
    heads = ["| what is deleted | when | checked | clean-up |", "| tables without a limit | why |"]
    assert lines == [heads[0], *rows, heads[1], *stored], "docs/RETENTION.md must have these rows"


# What a clean-up deletes


async def test_stored_answer_is_deleted_after_a_day_and_not_before(people: People, engine: AsyncEngine) -> None:
    founder = await people.register()

    async def create(key: str) -> str:
        body = {"name": fresh_org_name(), "region_code": "320102"}
        created = await founder.post("/v1/orgs", json=body, headers={"Idempotency-Key": key})
        assert created.status_code in (201, 422), created.text
        return str(created.json().get("type", "created"))

    assert await create("stored") == "created"
    await clean_up(engine)
    assert await create("stored") == "/problems/idempotency-key-reused"
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'"))
    await clean_up(engine)
    assert await create("stored") == "created"


async def test_clean_up_deletes_all_batches_of_bounded_size(engine: AsyncEngine, db: AsyncConnection) -> None:
    entry = replace(get_clean_up("simulated-messages"), batch=2)
    await run_clean_up(engine, entry)
    await db.execute(text(MESSAGES), {"count": 7})
    assert await entry.run(db, 2) == 2
    assert await run_clean_up(engine, entry) == 5
    assert await run_clean_up(engine, entry) == 0


async def test_concurrent_clean_ups_share_the_rows_without_waiting(engine: AsyncEngine, db: AsyncConnection) -> None:
    entry = get_clean_up("simulated-messages")
    await run_clean_up(engine, entry)
    await db.execute(text(MESSAGES), {"count": 5})
    async with asyncio.timeout(10), engine.begin() as first, engine.begin() as second:
        assert await entry.run(first, 3) == 3
        assert await entry.run(second, 10) == 2


async def test_former_phone_is_deleted_after_a_month_unless_a_directory_has_it(
    people: People, engine: AsyncEngine, db: AsyncConnection
) -> None:
    """The people of past days are counted from the former phones of member rows."""
    user = (await people.register()).user_id
    listed = await db.scalar(
        text("SELECT phone_index FROM members WHERE removed_at IS NULL AND phone_index IS NOT NULL LIMIT 1")
    )
    former = text(
        "INSERT INTO user_phones (user_id, phone_index, since, until)"
        " SELECT :id, phone, now() - interval '90 days', now() - make_interval(days => d, secs => length(phone))"
        " FROM unnest(ARRAY[30, 32]) AS d, unnest(ARRAY[CAST(:listed AS bytea), decode('00', 'hex')]) AS phone"
    )
    await db.execute(former, {"id": user, "listed": listed})
    assert await run_clean_up(engine, get_clean_up("former-phones")) >= 1
    left = text("SELECT phone_index = :listed, until > now() - interval '31 days' FROM user_phones WHERE user_id = :id")
    rows = (await db.execute(left, {"id": user, "listed": listed})).all()
    assert sorted(map(tuple, rows)) == [(False, True), (True, False), (True, True)]


async def test_queue_log_is_deleted_after_thirty_days(engine: AsyncEngine, db: AsyncConnection) -> None:
    written = text(
        "INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, aggregated, created)"
        " SELECT -1, 'successful', 0, 'note', true, now() - make_interval(days => d) FROM unnest(ARRAY[29, 31]) AS d"
    )
    await db.execute(written)
    await run_clean_up(engine, get_clean_up("queue-log"))
    assert await db.scalar(text("SELECT count(*) FROM pgqueuer_log WHERE job_id = -1")) == 1


# When it runs

Runs = list[str]


def build_clean_up(name: str, run: Callable[[AsyncConnection, int], Awaitable[int]]) -> CleanUp:
    return CleanUp(name, "nothing", (), timedelta(0), "now", run)


@pytest.fixture
async def runs(monkeypatch: pytest.MonkeyPatch, db: AsyncConnection) -> AsyncIterator[Runs]:
    """Return the runs of three due clean-ups: `works`, `fails` (at the first attempt), and `works-too`."""
    seen: Runs = []

    async def works(_: AsyncConnection, __: int) -> int:
        seen.append("works")
        await asyncio.sleep(0.5)
        return 0

    async def fails(_: AsyncConnection, __: int) -> int:
        seen.append("fails")
        if seen.count("fails") == 1:
            raise ValueError("the first time")
        return 0

    async def works_too(_: AsyncConnection, __: int) -> int:
        seen.append("works-too")
        return 0

    entries = (build_clean_up("fails", fails), build_clean_up("works", works), build_clean_up("works-too", works_too))
    monkeypatch.setattr(retention, "CLEAN_UPS", entries)
    monkeypatch.setattr(retention, "_BY_NAME", {entry.name: entry for entry in entries})
    monkeypatch.setattr(worker, "POLL_INTERVAL", timedelta(milliseconds=200))
    due = text(
        "INSERT INTO pgqueuer_schedules (expression, entrypoint, next_run) VALUES (:expression, :entrypoint, now())"
    )
    for entry in entries:
        await db.execute(due, {"expression": entry.schedule.value, "entrypoint": f"clean-up:{entry.name}"})
    yield seen
    await db.execute(text("DELETE FROM pgqueuer_schedules"))
    await db.execute(text("DELETE FROM pgqueuer WHERE entrypoint = 'clean-up'"))


@asynccontextmanager
async def run_workers(settings: Settings, workers: int) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(run_worker(settings)) for _ in range(workers)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def wait_for_runs(runs: Runs, wanted: Runs) -> None:
    async with asyncio.timeout(30):
        while len(runs) < len(wanted):  # noqa: ASYNC110 — the job sends no signal
            await asyncio.sleep(0.05)
    await asyncio.sleep(1)
    assert sorted(runs) == sorted(wanted)


async def test_due_clean_up_runs_once_and_a_failed_one_stops_no_other(settings: Settings, runs: Runs) -> None:
    async with run_workers(settings, 2):
        await wait_for_runs(runs, ["fails", "fails", "works", "works-too"])


async def test_clean_up_requested_twice_runs_once(
    settings: Settings, engine: AsyncEngine, runs: Runs, db: AsyncConnection
) -> None:
    await db.execute(text("DELETE FROM pgqueuer_schedules"))
    works = retention.CLEAN_UPS[1]
    for _ in range(2):
        await request_clean_up(engine, works)
    async with run_workers(settings, 1):
        async with asyncio.timeout(30):
            while not runs:  # noqa: ASYNC110 — the job sends no signal
                await asyncio.sleep(0.02)
        await request_clean_up(engine, works)  # while the first one runs
        await asyncio.sleep(1.5)
    assert runs == ["works"]
