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
def nothing_withheld(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SETTINGS.of(app), "withhold_below", 1)


@pytest.fixture(scope="session")
def kept_settings(server_url: str, worker_id: str, settings: Settings) -> Settings:
    """A database of these tests' own: where days are kept, reports no longer follow by themselves."""
    url = migrated_database(server_url, f"xuezu_{worker_id}_kept")
    return settings.model_copy(update={"database_url": SecretStr(url), "withhold_below": 1})


@pytest.fixture(scope="session")
async def kept_app(kept_settings: Settings) -> AsyncIterator[FastAPI]:
    application = create_app(kept_settings)
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture(scope="session")
async def kept_people(kept_app: FastAPI) -> AsyncIterator[People]:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(kept_app, client=("127.0.0.1", 50000)),
        base_url=SETTINGS.of(kept_app).issuer,
        event_hooks={"response": [Contract(kept_app).check]},
    ) as client:
        yield People(client)


@pytest.fixture(scope="session")
async def kept_service(kept_people: People, kept_app: FastAPI) -> PointsService:
    return await sign_in_service(kept_people.api, ENGINE.of(kept_app))


@pytest.fixture
async def rollup(kept_settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """The rollup's connection to the kept database: what is written there is in no total before a cycle has run."""
    assert kept_settings.database_url is not None
    connection = await asyncpg.connect(kept_settings.database_url.get_secret_value())
    yield connection
    await connection.close()


@pytest.fixture
async def counted_scene(people: People, service: PointsService, engine: AsyncEngine, nothing_kept: None) -> Scene:
    return Scene(people, service, engine, None)


@pytest.fixture
async def kept_scene(
    kept_people: People, kept_service: PointsService, kept_app: FastAPI, rollup: asyncpg.Connection
) -> Scene:
    return Scene(kept_people, kept_service, ENGINE.of(kept_app), rollup)


@pytest.fixture(params=["kept", "counted"])
def scene(request: pytest.FixtureRequest) -> Scene:
    found: Scene = request.getfixturevalue(f"{request.param}_scene")
    return found
