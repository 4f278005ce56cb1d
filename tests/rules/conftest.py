from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.settings import Settings
from app.main import create_app
from tests.auth.operator_accounts import create_operator
from tests.conftest import migrated_database
from tests.people import People, Person
from tests.points.services import PointsService, sign_in_service
from tests.rules.world import World, create_world


@pytest.fixture(scope="session")
async def world(people: People) -> World:
    return await create_world(people)


@pytest.fixture(scope="session")
async def operator(app: FastAPI, people: People) -> Person:
    """Return a platform operator whose session has a proved key."""
    return await create_operator(app, people)


@pytest.fixture(scope="session")
async def service(api: httpx.AsyncClient, engine: AsyncEngine) -> PointsService:
    return await sign_in_service(api, engine)


@pytest.fixture(scope="module")
def stored_settings(settings: Settings, server_url: str, worker_id: str) -> Settings:
    """Return settings with a database of its own, in which days are stored."""
    url = migrated_database(server_url, f"xuezu_{worker_id}_rules")
    return settings.model_copy(update={"database_url": SecretStr(url)})


@pytest.fixture(scope="module")
async def stored_app(stored_settings: Settings) -> AsyncIterator[FastAPI]:
    application = create_app(stored_settings)
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture
async def rollup(stored_settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """The rollup's connection to the database with stored days."""
    assert stored_settings.database_url is not None
    connection = await asyncpg.connect(stored_settings.database_url.get_secret_value())
    yield connection
    await connection.close()
