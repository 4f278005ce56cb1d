"""The driver beneath SQLAlchemy: its connections, a pool of its own, and statements that run on it without SQLAlchemy.

A small read is one statement. What SQLAlchemy's pool, transaction and result cost it (0.4 ms) is several times what
PostgreSQL needs; the driver's pool (`ReadPool`) costs a fraction of that. Its connections are lent for one statement,
in autocommit, beside the engine's (`app.database.db`), with which they share `XUEZU_DATABASE_POOL`.
"""

import asyncio
import re
import sys
from typing import Any, Generic, NamedTuple, Self, TypeVar

import asyncpg
from sqlalchemy import BindParameter, Dialect, Select, literal_column
from sqlalchemy.dialects.postgresql import asyncpg as asyncpg_dialect
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import visitors

from app.core.cipher import key_check
from app.core.settings import Settings
from app.database.row_types import row_maker

R = TypeVar("R", bound=NamedTuple)

CONNECT_SECONDS = 10
WAIT_SECONDS = 10
SHARE = 4
"""One in so many of a process's connections is the driver's own: each serves thousands of statements a second."""


def application_name(settings: Settings) -> str:
    """What a process's connections are called at the server: one sees which processes know the next index key."""
    key = settings.parsed_next_index_key()
    return "xuezu" if key is None else f"xuezu, next index key {key_check(key).hex()[:16]}"


async def connect(settings: Settings, **options: Any) -> asyncpg.Connection:
    """A connection of the driver. Raises ConnectionError where no server can be reached."""
    assert settings.database_url is not None
    # The driver reads the address itself, so that it means here what it means to libpq (`sslmode=`, several hosts).
    address = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", settings.database_url.get_secret_value())
    caches = {"statement_cache_size": 0} if settings.transaction_pooler else {}
    try:
        return await asyncpg.connect(
            address,
            server_settings={"application_name": application_name(settings), "timezone": "UTC"},
            timeout=CONNECT_SECONDS,
            **caches,
            **options,
        )
    except OSError as error:
        # While a server restarts its socket's file is missing, its host does not resolve: all the same as refused.
        raise ConnectionError(str(error)) from error


class StatementSource:
    """What runs a statement of the driver outside of a transaction: the pool, or the connection of a read."""

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """The rows of a statement."""
        raise NotImplementedError


class ReadPool(StatementSource):
    """At most `size` connections of the driver, opened as they are needed, each lent for one statement.

    The driver's pool opens and closes them. They are not given back to it between two statements: it takes each back
    in a task of its own, which costs 15 of 34 µs a statement.
    """

    def __init__(self, settings: Settings, size: int) -> None:
        """To be made inside the event loop; opens no connection yet."""

        async def open_connection(_: None, **options: Any) -> asyncpg.Connection:
            return await connect(settings, **options)

        # A connection stays: a new one has no prepared statements, and PostgreSQL plans each of them five times anew.
        # A rotation of the index key looks for processes by their open connections (`key_rotation.index_key`).
        self._pool = asyncpg.create_pool(
            connect=open_connection,
            min_size=0,
            max_size=size,
            max_queries=sys.maxsize,
            max_inactive_connection_lifetime=0,
        )
        self._idle: list[Any] = []
        self._size = size
        self._room = asyncio.Semaphore(size)

    async def __aenter__(self) -> Self:
        await self._pool
        return self

    async def __aexit__(self, *_: object) -> None:
        for _number in range(self._size):
            await self._room.acquire()  # after the statements under way
        while self._idle:
            await self._pool.release(self._idle.pop())
        await self._pool.close()

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """The rows of a statement. Raises ConnectionError where no connection becomes free within WAIT_SECONDS."""
        if self._room.locked():
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await self._room.acquire()
            except TimeoutError as error:
                raise ConnectionError(f"no connection became free within {WAIT_SECONDS} s") from error
        else:
            await self._room.acquire()  # at once; a time limit would cost a timer for each statement
        try:
            while self._idle and _is_lost(self._idle[-1]):
                await self._pool.release(self._idle.pop())
            connection = self._idle.pop() if self._idle else await self._pool.acquire()
            try:
                rows: list[asyncpg.Record] = await connection.fetch(sql, *arguments)
            except asyncpg.PostgresError:
                self._idle.append(connection)
                raise
            except BaseException:
                # Cancelled, or broken in the middle of a statement: no other statement may read its answer.
                connection.terminate()
                raise
            self._idle.append(connection)
            return rows
        finally:
            self._room.release()


def _is_lost(connection: Any) -> bool:
    """Whether the connection ended since its last statement."""
    try:
        closed: bool = connection.is_closed()
    except asyncpg.InterfaceError:  # the pool took it back when it ended
        return True
    return closed


class DriverStatement(Generic[R]):
    """A statement for hot reads, compiled once and run on a connection of the driver.

    Its constants are written into its text: PostgreSQL can then keep one plan for it, which it cannot for
    `state = $1` over an index that is partial by `state = 'live'`. (Measured: 0.7 ms → 0.1 ms, which was all
    planning; and building a report's statement anew for each call costs ten times what PostgreSQL needs for it.) It
    is never a part of the request's transaction: it has a snapshot of its own, as every statement has under READ
    COMMITTED.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]], *parameters: str, row: type[R]) -> None:
        """`parameters` name the statement's typed `bindparam`s, all of them; `row` has its columns in their order."""
        dialect: Dialect = asyncpg_dialect.dialect()  # type: ignore[no-untyped-call]
        found = set()

        def placed(element: object, **_: object) -> object:
            if isinstance(element, BindParameter) and element.key in parameters:
                found.add(element.key)
                position = parameters.index(element.key) + 1
                return literal_column(f"${position}::{element.type.compile(dialect=dialect)}", element.type)
            return None

        written: Any = visitors.replacement_traverse(statement, {}, placed)
        self.sql = str(written.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        self._parameters = parameters
        self._make = row_maker(row, statement.selected_columns.keys())
        assert found == set(parameters), set(parameters) - found

    async def fetch_row(self, source: StatementSource | AsyncConnection, **given: Any) -> R | None:
        """The first row, or None."""
        rows = await self.fetch(source, **given)
        return rows[0] if rows else None

    async def fetch(self, source: StatementSource | AsyncConnection, **given: Any) -> list[R]:
        """All rows: from the driver's pool, or on the connection beneath an open transaction."""
        arguments = [given[name] for name in self._parameters]
        if isinstance(source, StatementSource):
            records = await source.fetch(self.sql, *arguments)
        else:
            connection: asyncpg.Connection = (await source.get_raw_connection()).driver_connection
            records = await connection.fetch(self.sql, *arguments)
        return [self._make(record) for record in records]
