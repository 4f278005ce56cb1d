"""Totals and scores of past days are dropped after their retention, but not while the rollup still writes them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.calendar import today
from app.core.settings import Settings
from app.database.db import ENGINE
from app.reports.periods import RETENTION_DAYS
from app.reports.rollup.retention import CLEAN_UPS, drop_scores, drop_totals
from app.worker import retention as registry
from app.worker.retention import run_clean_up
from app.worker.worker import run_worker
from tests.conftest import migrated_database
from tests.databases import create_test_engine
from tests.people import People
from tests.points.services import PointsService, event
from tests.reports.test_recount import read_report


@pytest.fixture(scope="module")
def aged_url(server_url: str, worker_id: str) -> str:
    return migrated_database(server_url, f"xuezu_{worker_id}_aged")


@pytest.fixture
async def aged(aged_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection to a database that has a hundred daily partitions and statistics of its catalog."""
    connection = await asyncpg.connect(aged_url)
    oldest = today() - timedelta(days=RETENTION_DAYS + 40)
    for table, first, days in (("org_totals", oldest, 100), ("org_scores", today() - timedelta(days=4), 5)):
        await connection.execute(
            "SELECT make_partition($1, $2::date + n, $2::date + n + 1) FROM generate_series(0, $3::int - 1) AS n",
            table,
            first,
            days,
        )
    await connection.execute("ANALYZE")
    yield connection
    await connection.close()


async def list_partitions(connection: asyncpg.Connection, table: str) -> list[str]:
    found = await connection.fetch(
        "SELECT relid::regclass::text AS name FROM pg_partition_tree($1::text::regclass) WHERE isleaf ORDER BY 1", table
    )
    return [row["name"] for row in found]


@pytest.mark.parametrize("forced", ["enable_indexscan", "enable_nestloop"])
async def test_partitions_past_retention_are_dropped_with_every_join_method(
    aged: asyncpg.Connection, aged_url: str, forced: str
) -> None:
    engine = create_test_engine(aged_url)
    async with engine.begin() as db:
        # Without these two settings the planner hashes all of pg_class and evaluates rows of other tables too.
        for setting in (forced, "enable_bitmapscan", "enable_mergejoin"):
            await db.execute(text(f"SET {setting} = off"))
        assert (await drop_totals(db, 100), await drop_scores(db, 100)) == (40, 3)
        assert (await drop_totals(db, 100), await drop_scores(db, 100)) == (0, 0)
    await engine.dispose()
    assert len(await list_partitions(aged, "org_totals")) == 60
    remaining = [f"partitions.org_scores_{today() - timedelta(days=ago):%Y%m%d}" for ago in (1, 0)]
    assert await list_partitions(aged, "org_scores") == remaining


async def test_scores_in_use_by_the_rollup_are_not_dropped(aged: asyncpg.Connection, aged_url: str) -> None:
    """The rollup has not built today yet: its last stored day with scores is some days old."""
    last_scored = today() - timedelta(days=3)
    await aged.execute("INSERT INTO stored_days (day, scored) VALUES ($1, true)", last_scored)
    await aged.execute(
        "INSERT INTO score_steps (org_id, day, kind, step, people) SELECT uuidv7(), $1::date - n, 0, 0, 1"
        " FROM generate_series(0, 1) AS n",
        last_scored,
    )
    engine = create_test_engine(aged_url)
    for scored, wanted in ((True, 1), (False, 0)):
        await aged.execute("UPDATE stored_days SET scored = $1", scored)
        for entry in CLEAN_UPS:
            await run_clean_up(engine, entry)
        name = f"partitions.org_scores_{last_scored:%Y%m%d}"
        assert (await list_partitions(aged, "org_scores")).count(name) == wanted
        assert await aged.fetchval("SELECT count(*) FROM score_steps") == wanted
    await engine.dispose()


async def test_locked_partition_is_dropped_in_the_next_run(aged: asyncpg.Connection, aged_url: str) -> None:
    engine = create_test_engine(aged_url)
    async with aged.transaction(), asyncio.timeout(10):
        await aged.execute("SELECT count(*) FROM org_totals")
        async with engine.begin() as db:
            assert await drop_totals(db, 1) == 0
    async with engine.begin() as db:
        assert await drop_totals(db, 1) == 1
    await engine.dispose()


async def test_failed_clean_up_does_not_block_the_rollup(
    stored_people: People,
    stored_service: PointsService,
    stored_settings: Settings,
    stored_app: FastAPI,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed = asyncio.Event()

    async def fail(_: AsyncConnection, __: int) -> int:
        failed.set()
        raise asyncpg.InvalidDatetimeFormatError("22007")

    monkeypatch.setattr(registry, "_BY_NAME", {"scores": replace(CLEAN_UPS[0], run=fail)})
    owner = await stored_people.register()
    org = UUID((await owner.create_org())["id"])
    await registry.request_clean_up(ENGINE.get(stored_app), CLEAN_UPS[0])
    working = asyncio.create_task(run_worker(stored_settings))
    try:
        await asyncio.wait_for(failed.wait(), 60)
        await stored_service.outcomes(event(owner.user_id, points=4))
        async with asyncio.timeout(10):
            # The test reads the report again and again, as a browser does: there is no event to wait for.
            while (await read_report(owner, org, "reports/overview", period="day"))["subtree"]["points"] != 4:  # noqa: ASYNC110 — see above
                await asyncio.sleep(0.05)
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
