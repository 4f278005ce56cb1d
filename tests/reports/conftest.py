import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.points.services import PointsService, sign_in_service


@pytest.fixture(scope="session")
async def service(api: httpx.AsyncClient, engine: AsyncEngine) -> PointsService:
    return await sign_in_service(api, engine)


@pytest.fixture
def nothing_withheld(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.state.settings, "withhold_below", 1)
