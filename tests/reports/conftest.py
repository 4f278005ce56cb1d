from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.services import SETTINGS
from app.core.settings import Settings
from app.database.db import ENGINE
from app.main import create_app
from tests.conftest import migrated_database
from tests.contract import Contract
from tests.people import People
from tests.points.services import PointsService, sign_in_service
from tests.reports.scene import Scene


@pytest.fixture(scope="session")
async def service(api: httpx.AsyncClient, engine: AsyncEngine) -> PointsService:
    return await sign_in_service(api, engine)


@pytest.fixture
def no_suppression(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SETTINGS.get(app), "withhold_below", 1)


@pytest.fixture(scope="session")
def stored_settings(server_url: str, worker_id: str, settings: Settings) -> Settings:
    """Return settings with a separate database, in which days are stored. There, reports show new events only after a
    cycle, so other tests use another database."""
    url = migrated_database(server_url, f"xuezu_{worker_id}_stored")
    return settings.model_copy(update={"database_url": SecretStr(url), "withhold_below": 1})


@pytest.fixture(scope="session")
async def stored_app(stored_settings: Settings) -> AsyncIterator[FastAPI]:
    application = create_app(stored_settings)
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture(scope="session")
async def stored_people(stored_app: FastAPI) -> AsyncIterator[People]:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(stored_app, client=("127.0.0.1", 50000)),
        base_url=SETTINGS.get(stored_app).issuer,
        event_hooks={"response": [Contract(stored_app).check]},
    ) as client:
        yield People(client)


@pytest.fixture(scope="session")
async def stored_service(stored_people: People, stored_app: FastAPI) -> PointsService:
    return await sign_in_service(stored_people.api, ENGINE.get(stored_app))


@pytest.fixture
async def rollup(stored_settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection of the rollup to the database of `stored_settings`."""
    assert stored_settings.database_url is not None
    connection = await asyncpg.connect(stored_settings.database_url.get_secret_value())
    yield connection
    await connection.close()


@pytest.fixture
async def unbuilt_days(rollup: asyncpg.Connection) -> None:
    """Delete all stored days, so that the next build begins with the first day that has people."""
    await rollup.execute("DELETE FROM stored_days; DELETE FROM org_totals; DELETE FROM org_scores")


@pytest.fixture
async def recounted_scene(people: People, service: PointsService, engine: AsyncEngine, no_stored_days: None) -> Scene:
    return Scene(people, service, engine, None)


@pytest.fixture
async def stored_scene(
    stored_people: People, stored_service: PointsService, stored_app: FastAPI, rollup: asyncpg.Connection
) -> Scene:
    return Scene(stored_people, stored_service, ENGINE.get(stored_app), rollup)


@pytest.fixture(params=["stored", "recounted"])
def scene(request: pytest.FixtureRequest) -> Scene:
    found: Scene = request.getfixturevalue(f"{request.param}_scene")
    return found
