import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.points.services import PointsService, sign_in_service


@pytest.fixture(scope="session")
async def service(api: httpx.AsyncClient, engine: AsyncEngine) -> PointsService:
    return await sign_in_service(api, engine)


@pytest.fixture
async def nothing_kept(engine: AsyncEngine) -> None:
    """Reports count from the sources, also where another test's worker has kept totals in this database."""
    async with engine.begin() as db:
        for table in ("kept_days", "org_totals", "org_scores"):
            await db.execute(text(f"DELETE FROM {table}"))


@pytest.fixture
def nothing_withheld(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.state.settings, "withhold_below", 1)
