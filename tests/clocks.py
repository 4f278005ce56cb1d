"""A PostgreSQL whose clock is moved: `now()` of every statement that names it is a function of the schema `moved`.

PostgreSQL looks in `pg_catalog` first, unless the search path names it later. Column defaults keep the real clock.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

_CLOCK = """
CREATE SCHEMA IF NOT EXISTS moved;
CREATE OR REPLACE FUNCTION moved.now() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT pg_catalog.now() + coalesce(nullif(current_setting('moved.by', true), ''), '0')::interval
$$
"""


async def create_moved_clock(database_url: str) -> None:
    """Create the function that `connect_with_moved_clock` uses."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(_CLOCK)
    await connection.close()


async def move_clock(db: AsyncConnection, by: timedelta) -> None:
    """Move the clock of this connection of `connect_with_moved_clock` until the end of the transaction."""
    await db.execute(text("SELECT set_config('moved.by', :by, true)"), {"by": f"{by.total_seconds()} seconds"})


@asynccontextmanager
async def connect_with_moved_clock(database_url: str, by: timedelta = timedelta()) -> AsyncIterator[AsyncEngine]:
    """Yield an engine whose connections have a clock that is ahead by `by`."""
    settings = {"search_path": "moved, public, pg_catalog", "moved.by": f"{by.total_seconds()} seconds"}
    engine = create_async_engine(
        database_url.replace("postgresql://", "postgresql+asyncpg://"), connect_args={"server_settings": settings}
    )
    yield engine
    await engine.dispose()
