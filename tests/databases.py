"""Engines of tests that have a database of their own."""

from sqlalchemy.ext.asyncio import AsyncEngine

from app.database.connections import Database, Role
from app.database.db import create_engine_over


def create_test_engine(database_url: str) -> AsyncEngine:
    """Return an engine over this database, with the time limits of a command."""
    return create_engine_over(Database.from_url(database_url), Role.COMMAND, size=5)
