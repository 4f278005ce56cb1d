"""Dropping what no report reads any more: it reads the catalog safely, and its failure never holds up the totals."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta
from uuid import UUID

import asyncpg
import pytest

from app.core.calendar import today
from app.core.settings import Settings
from app.reports.periods import DAYS_KEPT
from app.reports.rollup import loop
from app.reports.rollup.retention import drop_past_days
from tests.conftest import migrated_database
from tests.people import People
from tests.points.services import PointsService, event
from tests.reports.test_recount import report


@pytest.fixture(scope="module")
def aged_url(server_url: str, worker_id: str) -> str:
    return migrated_database(server_url, f"xuezu_{worker_id}_aged")


@pytest.fixture
async def aged(aged_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A database with a hundred daily partitions, and statistics of its catalog."""
    connection = await asyncpg.connect(aged_url)
    oldest = today() - timedelta(days=DAYS_KEPT + 40)
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


async def partitions(connection: asyncpg.Connection, table: str) -> list[str]:
    found = await connection.fetch(
        "SELECT relid::regclass::text AS name FROM pg_partition_tree($1::text::regclass) WHERE isleaf ORDER BY 1", table
    )
    return [row["name"] for row in found]


@pytest.mark.parametrize("forced", ["enable_indexscan", "enable_nestloop"])
async def test_old_partitions_are_dropped_whichever_join_the_planner_takes(
    aged: asyncpg.Connection, forced: str
) -> None:
    # Without these two the planner reads pg_class whole and hashes it: rows of other tables are evaluated as well.
    await aged.execute(f"SET {forced} = off; SET enable_bitmapscan = off; SET enable_mergejoin = off")
    assert await drop_past_days(aged, today()) == 40 + 3
    assert len(await partitions(aged, "org_totals")) == 60
    kept = [f"partitions.org_scores_{today() - timedelta(days=ago):%Y%m%d}" for ago in (1, 0)]
    assert await partitions(aged, "org_scores") == kept
    assert await drop_past_days(aged, today()) == 0


async def test_a_failing_cleanup_does_not_hold_up_the_rollup(
    kept_people: People, kept_service: PointsService, kept_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, failed = 0, asyncio.Event()

    async def fail(_: asyncpg.Connection, __: date) -> int:
        nonlocal calls
        calls += 1
        failed.set()
        raise asyncpg.InvalidDatetimeFormatError("22007")

    monkeypatch.setattr(loop, "drop_past_days", fail)
    owner = await kept_people.register()
    org = UUID((await owner.create_org())["id"])
    rollup = asyncio.create_task(loop.keep_folding(kept_settings))
    try:
        await asyncio.wait_for(failed.wait(), 60)
        await kept_service.outcomes(event(owner.user_id, points=4))
        async with asyncio.timeout(loop.AFTER_FAILURE - 1):
            # The report is asked again and again, as a browser would: there is no event to wait for.
            while (await report(owner, org, "reports/overview", period="day"))["subtree"]["points"] != 4:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        rollup.cancel()
        await asyncio.gather(rollup, return_exceptions=True)
    assert calls == 1
