"""The verification that the stored totals equal a recount (`sql/verify.sql`).

Everything is compared in one snapshot, while the service and the rollup run: the stored totals with the rolled-up
state, and the rolled-up state with its sources. Deltas that wait in this snapshot are taken into account. Together the
comparisons prove that the totals equal those of the sources.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date

import asyncpg

from app.reports.rollup.days import SET_WORK_MEM
from app.reports.rollup.propagation import run_by_level
from app.reports.rollup.statements import load_statements

_SQL = load_statements("verify")


@dataclass(frozen=True, slots=True)
class Difference:
    """A stored row that differs from a recount. A value is None if that side has no such row."""

    kind: str
    key: str
    stored: str | None
    recounted: str | None


async def find_differences(connection: asyncpg.Connection, since: date | None = None) -> AsyncIterator[Difference]:
    """Yield every difference between the stored rows and a recount, for the stored days from `since` on, or for all."""
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute(SET_WORK_MEM)
        await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
        stored_days = await connection.fetch(_SQL["stored_days"], since or date.min)
        for statement in ("day_rows", "memberships", "edges"):
            async for row in connection.cursor(_SQL[statement]):
                yield Difference(*row)
        for stored_day in stored_days:
            day = stored_day["day"]
            await connection.execute(_SQL["superiors_first"], day)
            await run_by_level(connection, _SQL["superiors_next"], day)
            for statement in ("people", "earned"):
                await connection.execute(_SQL[statement], day)
            await connection.execute(_SQL["analyze"])
            for statement in ("totals", *(("scores", "score_steps") if stored_day["scored"] else ())):
                async for row in connection.cursor(_SQL[statement], day):
                    yield Difference(*row)
            await connection.execute(_SQL["drop"])
