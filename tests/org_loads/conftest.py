import pytest
from fastapi import FastAPI

from tests.auth.operator_accounts import create_operator
from tests.people import People, Person


@pytest.fixture(scope="session")
async def operator(app: FastAPI, people: People) -> Person:
    """Return a platform operator whose session has a proved key."""
    return await create_operator(app, people)
