import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.auth.operator_accounts import create_operator
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
