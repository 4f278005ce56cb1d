"""The transaction in which the rollup makes all of its writes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from app.reports.rollup.statements import load_statements

_SQL = load_statements("staging")


@asynccontextmanager
async def open_rollup_transaction(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Open a REPEATABLE READ transaction, take the rollup's lock, create the staging tables and fill the one of the
    days.

    The lock is the table `stored_days` in EXCLUSIVE mode: rollup transactions wait for each other, and readers of the
    table do not wait.
    """
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute(_SQL["begin"])
        if not await connection.fetchval(_SQL["exists"]):
            await connection.execute(_SQL["create"])
        await connection.execute(_SQL["stage_days"])
        yield
