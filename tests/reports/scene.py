"""Where reports are read: counted from the sources, or kept."""

from dataclasses import dataclass

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.calendar import today
from app.reports.rollup.cycle import build_missing_days, run_cycle
from tests.people import People
from tests.points.services import PointsService


@dataclass
class Scene:
    """With `rollup` reports read what is kept, once cycles have applied what was written."""

    people: People
    service: PointsService
    engine: AsyncEngine
    rollup: asyncpg.Connection | None

    async def settle(self) -> None:
        if self.rollup is not None:
            while await run_cycle(self.rollup):
                pass
            await build_missing_days(self.rollup, today(), tomorrow=True)
