"""The transaction in which all of the rollup's writing happens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from app.reports.rollup.statements import load

_SQL = load("staging")


@asynccontextmanager
async def rollup_transaction(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """A REPEATABLE READ transaction that holds the rollup's lock, with the staging tables there and the days staged.

    The lock is `stored_days` in EXCLUSIVE mode: of two writers one waits for the other, readers wait for nobody.
    """
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute(_SQL["begin"])
        if not await connection.fetchval(_SQL["exists"]):
            await connection.execute(_SQL["create"])
        await connection.execute(_SQL["stage_days"])
        yield
