"""Where reports are read: counted from the sources, or kept."""

from dataclasses import dataclass

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.calendar import today
from app.reports.rollup.cycle import fold, keep_days
from tests.people import People
from tests.points.services import PointsService


@dataclass
class Scene:
    """With `folder` reports read what is kept, once what was written is folded."""

    people: People
    service: PointsService
    engine: AsyncEngine
    folder: asyncpg.Connection | None

    async def settle(self) -> None:
        if self.folder is not None:
            while await fold(self.folder):
                pass
            await keep_days(self.folder, today(), tomorrow=True)
