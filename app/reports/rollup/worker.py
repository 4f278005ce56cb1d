"""The rollup in the worker process: it runs a cycle whenever deltas wait, and builds the days."""

import asyncio
from datetime import datetime, time, timedelta

import asyncpg
import structlog

from app.core.calendar import SHANGHAI
from app.database.connections import Database, Role
from app.reports.rollup.cycle import build_missing_days, run_cycle
from app.reports.rollup.partitions import create_future_partitions

log = structlog.get_logger()

IDLE_SECONDS = 0.5
LONGEST_PAUSE = 5.0
"""After a cycle the rollup pauses as long as the cycle took, at most this long: it uses at most half of one core."""
AFTER_FAILURE = 2.0
TOMORROW_FROM = time(22)
"""From this time on tomorrow is built as well, so that its totals and scores exist at midnight."""


async def run_rollup(database: Database) -> None:
    """Run cycles until the task is cancelled. If the connection breaks or a cycle fails, wait and try again."""
    while True:
        try:
            connection = await database.connect(Role.JOB)
            try:
                await _run_cycles(connection)
            finally:
                connection.terminate()  # a graceful end waits for the server, and loses a cancellation
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, RuntimeError) as error:
            # The whole transaction is rolled back. The text of an error may contain data, so it is not logged.
            log.error("rollup_failed", error=type(error).__name__, sqlstate=getattr(error, "sqlstate", None))
            await asyncio.sleep(AFTER_FAILURE)


async def _run_cycles(connection: asyncpg.Connection) -> None:
    loop = asyncio.get_running_loop()
    built = None
    while True:
        began = loop.time()
        applied = await run_cycle(connection)
        now = datetime.now(SHANGHAI)
        wanted = (now.date(), now.time() >= TOMORROW_FROM)
        # The days are built from the rolled-up state, so a cycle must run first.
        if wanted != built:
            while await run_cycle(connection):
                pass
            await create_future_partitions(connection, now.date())
            await build_missing_days(
                connection, now.date(), tomorrow=wanted[1], after_each=lambda: _cycle_and_pause(connection)
            )
            built = wanted
            log.info("days_kept", until=str(now.date() + timedelta(days=wanted[1])))
        await asyncio.sleep(_pause_since(began) if applied else IDLE_SECONDS)


async def _cycle_and_pause(connection: asyncpg.Connection) -> None:
    """Run one cycle and pause afterwards. The build of the next day calls this between two slices."""
    began = asyncio.get_running_loop().time()
    await run_cycle(connection)
    await asyncio.sleep(_pause_since(began))


def _pause_since(began: float) -> float:
    """Return the seconds to pause after a cycle that began at `began`."""
    return min(max(asyncio.get_running_loop().time() - began, 0.02), LONGEST_PAUSE)
