"""The rollup and the clean-ups over many days, with a clock that the test moves in the processes and in the database.

With XUEZU_PROOF=1 these are 450 days: fifty more than totals are stored. Each day has points, changes of people and of
the tree, and all clean-ups of the registry.
"""

import asyncio
import os
import random
import time as clock
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import date, datetime, timedelta, tzinfo
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from app.core import calendar
from app.core.calendar import SHANGHAI
from app.database.connections import Database
from app.reports.periods import RETENTION_DAYS
from app.reports.rollup import worker
from app.reports.rollup.verify import find_differences
from app.worker.retention import CLEAN_UPS, run_clean_up
from tests.conftest import migrated_database
from tests.databases import create_test_engine
from tests.reports import test_rollup as rollup_tests
from tests.reports.test_rollup import History, create_viewer, earn
from tests.reports.world import make_world, write_world

PROOF = os.environ.get("XUEZU_PROOF") == "1"
DAYS = 450 if PROOF else 4
MAX_SECONDS = 5.0 if PROOF else 30.0
"""How long a day may take from its first moment until its totals are stored and no delta waits. In a run of all tests
other tests use the processors too."""

# Statements that name now() get the moved clock, as this schema comes before pg_catalog. Defaults of columns do not.
CLOCK = """
CREATE SCHEMA moved;
CREATE TABLE moved.clock (shift interval NOT NULL);
INSERT INTO moved.clock VALUES ('0');
CREATE FUNCTION moved.now() RETURNS timestamptz LANGUAGE sql STABLE
    AS 'SELECT pg_catalog.now() + (SELECT shift FROM moved.clock)';
CREATE FUNCTION moved.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS 'SELECT pg_catalog.clock_timestamp() + (SELECT shift FROM moved.clock)';
"""
WAITING = "SELECT " + " + ".join(
    f"(SELECT count(*) FROM {queue})" for queue in ("point_deltas", "member_deltas", "user_deltas", "edge_deltas")
)
SIZES = """
SELECT table_name, sum(pg_total_relation_size(relid))::bigint AS bytes, count(*) FILTER (WHERE isleaf) AS partitions
FROM unnest(ARRAY['org_totals', 'org_scores', 'score_steps', 'stored_days', 'prepared_days', 'user_phones',
    'point_deltas', 'member_deltas', 'user_deltas', 'edge_deltas']) AS table_name,
LATERAL (
    SELECT relid, isleaf FROM pg_partition_tree(table_name::regclass)
    UNION SELECT table_name::regclass, true WHERE NOT EXISTS (SELECT FROM pg_partition_tree(table_name::regclass))
) AS tree GROUP BY table_name
"""


@pytest.fixture
def url(server_url: str) -> str:
    return migrated_database(server_url, f"soak_{uuid4().hex}")


@pytest.fixture
async def connection(url: str) -> AsyncIterator[asyncpg.Connection]:
    connected = await asyncpg.connect(url)
    await connected.execute(CLOCK)
    await connected.execute(
        f"ALTER DATABASE {url.rpartition('/')[2].partition('?')[0]} SET search_path = moved, pg_catalog, public"
    )
    await connected.execute("SET search_path = moved, pg_catalog, public")
    yield connected
    await connected.close()


@pytest.fixture
async def engine(url: str, connection: asyncpg.Connection) -> AsyncIterator[AsyncEngine]:
    created = create_test_engine(url)
    yield created
    await created.dispose()


class Clock:
    """Moves the clock of the database and of every module that asks for a moment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, connection: asyncpg.Connection) -> None:
        self.shift = timedelta()
        self._connection = connection
        moved = self

        class Moved(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Any:
                return datetime.now(tz) + moved.shift

        for module in (calendar, worker, rollup_tests):
            monkeypatch.setattr(module, "datetime", Moved)

    async def move_to(self, day: date, hour: int, minute: int) -> None:
        at = datetime(day.year, day.month, day.day, hour, minute, tzinfo=SHANGHAI)
        self.shift = at - datetime.now(SHANGHAI)
        await self._connection.execute("UPDATE moved.clock SET shift = $1", self.shift)


async def wait_until_stored(connection: asyncpg.Connection, last: date) -> float:
    """Wait until the days up to `last` are stored and no delta waits. Return the seconds."""
    began = clock.monotonic()
    while await connection.fetchval(WAITING) or await connection.fetchval("SELECT max(day) FROM stored_days") != last:
        assert clock.monotonic() - began < 60, f"{last} is not stored"
        await asyncio.sleep(0.01)
    return clock.monotonic() - began


async def read_sizes(connection: asyncpg.Connection) -> Mapping[str, tuple[int, int]]:
    await connection.execute("VACUUM ANALYZE")
    return {row["table_name"]: (row["bytes"], row["partitions"]) for row in await connection.fetch(SIZES)}


@pytest.mark.long
async def test_days_are_stored_in_time_and_tables_stop_growing(
    url: str,
    connection: asyncpg.Connection,
    engine: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "IDLE_SECONDS", 0.01)
    monkeypatch.setattr(worker, "LONGEST_PAUSE", 0.05)  # not the pause after the build of the first forty days
    chance, first = random.Random(450), calendar.today() + timedelta(days=1)
    world = make_world(chance, await create_viewer(engine), orgs=40, people=400)
    await write_world(engine, world)
    history, moved = History(chance, world), Clock(monkeypatch, connection)
    seconds: list[tuple[float, date]] = []
    sizes: list[Mapping[str, tuple[int, int]]] = []
    await moved.move_to(first, 0, 0)
    with capture_logs() as logged:
        rolling = asyncio.create_task(worker.run_rollup(Database.from_url(url)))
        try:
            await wait_until_stored(connection, first)
            for day in (first + timedelta(days=n) for n in range(1, DAYS + 1)):
                await moved.move_to(day, 0, 0)
                seconds.append((await wait_until_stored(connection, day), day))
                await moved.move_to(day, 9, 0)
                async with engine.begin() as db:
                    learners = chance.sample(world.users, 150)
                    await earn(db, world, [(user, day, chance.randrange(1, 9)) for user in learners])
                    for _ in range(5):
                        await history.write_change(db)
                # A partition that a cycle uses is left for the next run, which comes every hour; here every day.
                seconds.append((await wait_until_stored(connection, day), day))
                for clean_up in CLEAN_UPS:
                    await run_clean_up(engine, clean_up)
                await moved.move_to(day, 22, 30)
                seconds.append((await wait_until_stored(connection, day + timedelta(days=1)), day))
                world.events = world.events[-5000:]
                if not day.toordinal() % 25 or day == first + timedelta(days=DAYS):
                    sizes.append(await read_sizes(connection))
        finally:
            rolling.cancel()
            with suppress(asyncio.CancelledError):
                await rolling
    slowest = max(seconds)
    structlog.get_logger().info(
        "soak",
        days=DAYS,
        median=sorted(seconds)[len(seconds) // 2][0],
        slowest=slowest[0],
        on=str(slowest[1]),
        sizes=sizes[-1],
    )
    assert [line for line in logged if line["log_level"] not in ("debug", "info")] == []
    assert slowest[0] < MAX_SECONDS, slowest
    # The days that a report can show, and those that the rollup works on.
    assert sizes[-1]["org_totals"][1] <= min(RETENTION_DAYS, DAYS + 41) + 3
    partitions = "SELECT relid::regclass::text FROM pg_partition_tree('org_scores') WHERE isleaf ORDER BY 1"
    assert sizes[-1]["org_scores"][1] <= 4, await connection.fetch(partitions)
    last = [difference async for difference in find_differences(connection, day - timedelta(days=2))]
    assert last == []
    if PROOF:
        for table, (size, _) in sizes[-1].items():
            # From the four hundredth day on, a day that comes is a day that goes.
            assert size <= 1.1 * sizes[-3][table][0] + 100_000, (table, sizes[-3][table], sizes[-1][table])
