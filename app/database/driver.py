"""The asyncpg driver without SQLAlchemy: a read pool, and statements that run on its connections.

A small read is one statement. SQLAlchemy's pool, transaction and result cost 0.4 ms, several times PostgreSQL's own
work. The read pool (`ReadPool`) costs a fraction of that. It lends a connection for one statement in autocommit. The
read pool and the engine (`app.database.db`) share the connections of `XUEZU_DATABASE_POOL`.
"""

import asyncio
import sys
from typing import Any, Generic, NamedTuple, Self, TypeVar

import asyncpg
from sqlalchemy import BindParameter, Dialect, Select, literal_column
from sqlalchemy.dialects.postgresql import asyncpg as asyncpg_dialect
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import visitors

from app.database.connections import Database, Role
from app.database.row_types import build_row_maker

R = TypeVar("R", bound=NamedTuple)

WAIT_SECONDS = 10
SHARE = 4
"""The read pool has one of this many connections of a process. Each serves thousands of statements a second."""


class StatementSource:
    """A connection source for driver statements outside a transaction: the read pool, or the connection of a read."""

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Return the rows of a statement."""
        raise NotImplementedError


class ReadPool(StatementSource):
    """At most `size` connections of the driver. Each is opened when needed and lent for one statement.

    asyncpg's pool opens and closes them. This class keeps idle connections itself, because asyncpg's pool takes each
    connection back in a new task, which costs 15 of 34 µs a statement.
    """

    def __init__(self, database: Database, size: int, role: Role = Role.REQUEST) -> None:
        """Create the pool inside a running event loop. It opens no connection yet."""
        # Connections are never closed for age: a new one has no prepared statements, and PostgreSQL plans each of them
        # five times again. A rotation of the index key finds processes by their open connections
        # (`key_rotation.index_key`).
        self._pool = database.create_pool(
            role,
            min_size=0,
            max_size=size,
            max_queries=sys.maxsize,
            max_inactive_connection_lifetime=0,
        )
        self._idle: list[Any] = []
        self._running = 0
        self._size = size
        self._free_slots = asyncio.Semaphore(size)

    async def __aenter__(self) -> Self:
        await self._pool
        return self

    async def __aexit__(self, *_: object) -> None:
        for _number in range(self._size):
            await self._free_slots.acquire()  # waits for the running statements
        while self._idle:
            await self._pool.release(self._idle.pop())
        await self._pool.close()

    @property
    def in_use(self) -> int:
        """Return the number of connections that run a statement now."""
        return self._running

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Return the rows of a statement. Raises ConnectionError if no connection is free within WAIT_SECONDS."""
        if self._free_slots.locked():
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await self._free_slots.acquire()
            except TimeoutError as error:
                raise ConnectionError(f"no connection became free within {WAIT_SECONDS} s") from error
        else:
            await self._free_slots.acquire()  # does not wait; a time limit would cost a timer per statement
        self._running += 1
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
                # The statement was cancelled or interrupted: no other statement may read its answer.
                connection.terminate()
                raise
            self._idle.append(connection)
            return rows
        finally:
            self._running -= 1
            self._free_slots.release()


def _is_lost(connection: Any) -> bool:
    """Return whether the connection ended since its last statement."""
    try:
        closed: bool = connection.is_closed()
    except asyncpg.InterfaceError:  # the pool took the ended connection back
        return True
    return closed


class DriverStatement(Generic[R]):
    """A statement for the most frequent reads. It is compiled once, and runs on a connection of asyncpg, without
    SQLAlchemy.

    Its constants are literals in its text, so that PostgreSQL can use one plan for all calls. If `state` were a
    parameter, this plan could not use an index with `WHERE state = 'live'`, and PostgreSQL would plan each call.
    (Measured for the read of a caller's permission: 0.7 ms → 0.1 ms a call, all of it planning. Building the statement
    of a report for each call costs ten times PostgreSQL's own work.) The statement has its own snapshot, as every
    statement has under READ COMMITTED.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]], *parameters: str, row: type[R]) -> None:
        """`parameters` names all typed `bindparam`s of the statement; `row` has its columns in their order."""
        dialect: Dialect = asyncpg_dialect.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves this function untyped
        found = set()

        def replace_parameter(element: object, **_: object) -> object:
            if isinstance(element, BindParameter) and element.key in parameters:
                found.add(element.key)
                position = parameters.index(element.key) + 1
                return literal_column(f"${position}::{element.type.compile(dialect=dialect)}", element.type)
            return None

        written: Any = visitors.replacement_traverse(statement, {}, replace_parameter)
        self.sql = str(written.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        self._parameters = parameters
        self._make = build_row_maker(row, statement.selected_columns.keys())
        assert found == set(parameters), set(parameters) - found

    async def fetch_row(self, source: StatementSource | AsyncConnection, **values: Any) -> R | None:
        """Return the first row, or None."""
        rows = await self.fetch(source, **values)
        return rows[0] if rows else None

    async def fetch(self, source: StatementSource | AsyncConnection, **values: Any) -> list[R]:
        """Return all rows, read from the read pool or on the connection of an open transaction."""
        arguments = [values[name] for name in self._parameters]
        if isinstance(source, StatementSource):
            records = await source.fetch(self.sql, *arguments)
        else:
            connection: asyncpg.Connection = (await source.get_raw_connection()).driver_connection
            records = await connection.fetch(self.sql, *arguments)
        return [self._make(record) for record in records]
