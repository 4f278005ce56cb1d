"""The driver's own connections: for the hottest reads, which are one statement and one row of right and thing.

They are lent for one statement and returned at once, in autocommit, beside the engine's (`app.core.db`), with whom they
share `XUEZU_DATABASE_POOL`. What SQLAlchemy's pool, transaction and result cost a request (0.4 ms) is not paid here.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg as driver
from sqlalchemy import BindParameter, Dialect, Select, literal_column
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import visitors

from app.core.cipher import key_check
from app.core.settings import Settings

CONNECT_SECONDS = 10
WAIT_SECONDS = 10
SHARE = 4
"""One in so many of a process's connections is the driver's own: each serves thousands of statements a second."""


def application_name(settings: Settings) -> str:
    """What a process's connections are called at the server: one sees which processes know the next index key."""
    key = settings.parsed_next_index_key()
    return "xuezu" if key is None else f"xuezu, next index key {key_check(key).hex()[:16]}"


async def connect(settings: Settings) -> Any:
    """A connection of the driver. Raises ConnectionError where there is no server to be had."""
    assert settings.database_url is not None
    # The driver reads the address itself, so that it means here what it means to libpq (`sslmode=`, several hosts).
    address = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", settings.database_url.get_secret_value())
    caches = {"statement_cache_size": 0} if settings.transaction_pooler else {}
    try:
        return await driver.connect(
            address,
            server_settings={"application_name": application_name(settings), "timezone": "UTC"},
            timeout=CONNECT_SECONDS,
            **caches,
        )
    except OSError as error:
        # While a server restarts its socket's file is missing, its host does not resolve: all the same as refused.
        raise ConnectionError(str(error)) from error


class Drivers:
    """At most `size` connections, made as they are needed; who finds none free waits, and gives up after a while."""

    def __init__(self, open_connection: Callable[[], Awaitable[Any]], size: int) -> None:
        self._open = open_connection
        self._room = asyncio.Semaphore(size)
        self._free: list[Any] = []

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        """The rows of a statement."""
        if self._room.locked():
            async with asyncio.timeout(WAIT_SECONDS):
                await self._room.acquire()
        else:
            await self._room.acquire()
        try:
            connection = self._free.pop() if self._free else await self._open()
            while connection.is_closed():
                connection = self._free.pop() if self._free else await self._open()
            try:
                rows: list[Any] = await connection.fetch(sql, *arguments)
            except driver.PostgresError:
                self._free.append(connection)
                raise
            except BaseException:
                # Cancelled, or broken in the middle of a statement: nobody shall read its answer as their own.
                connection.terminate()
                raise
            self._free.append(connection)
            return rows
        finally:
            self._room.release()

    async def close(self) -> None:
        while self._free:
            await self._free.pop().close()


class OnDrivers:
    """Something to read with that has the driver's connections at hand."""

    drivers: Drivers


class DriverStatement:
    """A statement for the hottest reads, compiled once and run on the driver's own connection.

    Its constants are written into its text: PostgreSQL can then keep one plan for it, which it cannot for
    `state = $1` over an index that is partial by `state = 'certified'`. (Measured: 0.7 ms → 0.1 ms, which was all
    planning; and building a report's statement anew for each call costs ten times what PostgreSQL needs for it.) It
    is never a part of the request's transaction: it has a snapshot of its own, as every statement has under READ
    COMMITTED.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]], *parameters: str) -> None:
        """`parameters` name the statement's typed `bindparam`s, all of them."""
        dialect: Dialect = asyncpg.dialect()  # type: ignore[no-untyped-call]
        found = set()

        def placed(element: Any, **_: Any) -> Any:
            if isinstance(element, BindParameter) and element.key in parameters:
                found.add(element.key)
                position = parameters.index(element.key) + 1
                return literal_column(f"${position}::{element.type.compile(dialect=dialect)}", element.type)
            return None

        written: Any = visitors.replacement_traverse(statement, {}, placed)
        self.sql = str(written.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        self._parameters = parameters
        assert found == set(parameters), set(parameters) - found

    async def fetch_row(self, source: Drivers | AsyncConnection, **given: Any) -> Any:
        """The first row, or None; columns by name: `row["id"]`."""
        rows = await self.fetch(source, **given)
        return rows[0] if rows else None

    async def fetch(self, source: Drivers | AsyncConnection, **given: Any) -> list[Any]:
        """All rows; on a connection of the driver's own, or on the one under a `Db` that is there anyway."""
        arguments = [given[name] for name in self._parameters]
        if isinstance(source, (Drivers, OnDrivers)):
            drivers = source if isinstance(source, Drivers) else source.drivers
            return await drivers.fetch(self.sql, *arguments)
        connection: Any = (await source.get_raw_connection()).driver_connection
        rows: list[Any] = await connection.fetch(self.sql, *arguments)
        return rows
