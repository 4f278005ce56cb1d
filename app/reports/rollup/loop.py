"""The folder at work: folds what waits as it comes, and keeps the days as they come."""

import asyncio
from datetime import datetime, time, timedelta

import asyncpg
import structlog

from app.core.calendar import SHANGHAI
from app.core.settings import Settings
from app.reports.rollup.cycle import fold, keep_days
from app.reports.rollup.partitions import make_days_ahead

log = structlog.get_logger()

IDLE_SECONDS = 0.5
# A fold is followed by a pause of its own length: whatever waits, the folder takes half of one core at most.
LONGEST_PAUSE = 5.0
AFTER_FAILURE = 5.0
# From this time on tomorrow's totals and scores are kept as well, so that at midnight they are there.
TOMORROW_FROM = time(22)


async def keep_folding(settings: Settings) -> None:
    """Fold until cancelled; a connection that breaks, or a fold that fails, is tried again."""
    assert settings.database_url is not None
    while True:
        try:
            connection = await asyncpg.connect(
                settings.database_url.get_secret_value(),
                server_settings={"application_name": "xuezu folder", "jit": "off"},
                **({"statement_cache_size": 0} if settings.transaction_pooler else {}),
            )
            try:
                await _fold_on(connection)
            finally:
                await connection.close()
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, RuntimeError) as error:
            # What was under way is rolled back whole. The text of an error may quote data.
            log.error("fold_failed", error=type(error).__name__, sqlstate=getattr(error, "sqlstate", None))
            await asyncio.sleep(AFTER_FAILURE)


async def _fold_between(connection: asyncpg.Connection) -> None:
    """Fold what came during a slice, with the pause that a fold has after it."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await fold(connection)
    await asyncio.sleep(min(max(loop.time() - began, 0.02), LONGEST_PAUSE))


async def _fold_on(connection: asyncpg.Connection) -> None:
    loop = asyncio.get_running_loop()
    kept = None
    while True:
        began = loop.time()
        folded = await fold(connection)
        now = datetime.now(SHANGHAI)
        wanted = (now.date(), now.time() >= TOMORROW_FROM)
        # Only after a first fold: the days are built from what is folded.
        if wanted != kept:
            while await fold(connection):
                pass
            await make_days_ahead(connection, now.date())
            await keep_days(connection, now.date(), tomorrow=wanted[1], meanwhile=lambda: _fold_between(connection))
            kept = wanted
            log.info("days_kept", until=str(now.date() + timedelta(days=wanted[1])))
        await asyncio.sleep(min(max(loop.time() - began, 0.02), LONGEST_PAUSE) if folded else IDLE_SECONDS)
