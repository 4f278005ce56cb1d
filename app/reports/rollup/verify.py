"""Whether what is kept equals a recount: every difference, named (`sql/verify.sql`).

All of it is compared in one snapshot, while the service and the rollup go on: what is kept with the rolled-up state,
and that with the tables that it is derived from, leaving out what waits in the very same snapshot. Together the
comparisons say that the totals are those of the sources.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date

import asyncpg

from app.reports.rollup.days import USE_MEMORY
from app.reports.rollup.propagation import by_levels
from app.reports.rollup.statements import load

_SQL = load("verify")


@dataclass(frozen=True, slots=True)
class Difference:
    """Something kept that is not what a recount gives; `None` where one of them has no such row."""

    what: str
    key: str
    kept: str | None
    recounted: str | None


async def differences(connection: asyncpg.Connection, since: date | None = None) -> AsyncIterator[Difference]:
    """Every difference between what is kept and a recount; of the days kept from `since` on, or of all."""
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute(USE_MEMORY)
        await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
        stored_days = await connection.fetch(_SQL["stored_days"], since or date.min)
        for statement in ("day_rows", "memberships", "edges"):
            async for row in connection.cursor(_SQL[statement]):
                yield Difference(*row)
        for kept in stored_days:
            day = kept["day"]
            await connection.execute(_SQL["above_first"], day)
            await by_levels(connection, _SQL["above_next"], day)
            await connection.execute(_SQL["people"], day)
            await connection.execute(_SQL["analyze"])
            for statement in ("totals", *(("scores", "score_steps") if kept["scored"] else ())):
                async for row in connection.cursor(_SQL[statement], day):
                    yield Difference(*row)
            await connection.execute(_SQL["drop"])
