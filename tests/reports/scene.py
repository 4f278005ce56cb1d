"""The two sources of reports: the recount and the stored totals."""

from dataclasses import dataclass

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.calendar import today
from app.reports.rollup.cycle import build_missing_days, run_cycle
from tests.people import People
from tests.points.services import PointsService


@dataclass
class Scene:
    """The service with one source of reports. If `rollup` is a connection, reports read the stored totals; if it is
    None, no day is stored and reports are recounted."""

    people: People
    service: PointsService
    engine: AsyncEngine
    rollup: asyncpg.Connection | None

    async def apply_and_build(self) -> None:
        """Apply all waiting deltas and build the missing days. Do nothing if reports are recounted."""
        if self.rollup is not None:
            while await run_cycle(self.rollup):
                pass
            await build_missing_days(self.rollup, today(), tomorrow=True)
