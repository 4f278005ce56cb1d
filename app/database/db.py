"""The database as the rest of the service meets it: metadata, the engine, the request's connection, named constraints.

A route asks for one of two connections (SQLAlchemy Core, no ORM session):

- `ReadDb`, in a route that reads (GET, HEAD): autocommit, each of its statements has a snapshot of its own. It has no
  `begin` and no `commit`.
- `WriteDb`, in any other route: the one transaction of the request. `TransactionalRoute` commits it before the answer
  is sent; whatever is raised rolls it back.

A route that asks for the other's is refused when it is made. Queries take a `Readable`, which both are; operations
take an `AsyncConnection`, which only `WriteDb` is.
"""

import re
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Annotated, Any, TypeVar, TypeVarTuple, overload

import asyncpg
from fastapi import Depends, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from sqlalchemy import CursorResult, Executable, MetaData, ScalarResult
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql.selectable import TypedReturnsRows

from app.core.services import Service
from app.core.settings import Settings
from app.database import driver
from app.database.driver import ReadPool, StatementSource
from app.web.request_state import request_state

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

ENGINE = Service[AsyncEngine]("engine")
POOL = Service[ReadPool]("pool")

READS = frozenset({"GET", "HEAD"})


class Table(DeclarativeBase):
    """Declarative tables are the schema's description only: no session, no relationships."""

    metadata = MetaData(
        naming_convention={
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ck": "%(table_name)s_%(constraint_name)s_check",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
            "pk": "%(table_name)s_pkey",
        }
    )


def engine_url(database_url: str) -> str:
    """A plain `postgresql://…` address as SQLAlchemy's asyncpg dialect wants it."""
    return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql+asyncpg://", database_url)


def plain_url(database_url: str) -> str:
    """The same address as asyncpg itself, and every PostgreSQL program, takes it."""
    return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", database_url)


def create_engine(settings: Settings, *, but: int = 0) -> AsyncEngine:
    """The engine with the process's connections, `but` so many."""

    async def open_connection(**_: object) -> asyncpg.Connection:
        return await driver.connect(settings)

    return create_async_engine(
        "postgresql+asyncpg://",
        connect_args={
            "async_creator_fn": open_connection,
            "prepared_statement_cache_size": 0 if settings.transaction_pooler else 100,
        },
        pool_size=settings.database_pool - but,
        max_overflow=0,
        pool_timeout=10,
    )


def create_pools(settings: Settings) -> tuple[AsyncEngine, ReadPool]:
    """The engine and the driver's own pool; together no more connections than the settings allow."""
    aside = max(1, settings.database_pool // driver.SHARE)
    return create_engine(settings, but=aside), ReadPool(settings, aside)


class ReadConnection(StatementSource):
    """The connection of a reading request: a connection of the engine in autocommit, borrowed when the first statement
    of Core is run and returned after the answer. `fetch` borrows nothing: it runs on the driver's own pool.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._connection: AsyncConnection | None = None

    @overload
    async def execute(self, statement: TypedReturnsRows[*Ts], parameters: Any = None) -> CursorResult[*Ts]: ...
    @overload
    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[*tuple[Any, ...]]: ...
    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[*tuple[Any, ...]]:
        return await (await self._opened()).execute(statement, parameters)

    @overload
    async def scalar(self, statement: TypedReturnsRows[T], parameters: Any = None) -> T | None: ...
    @overload
    async def scalar(self, statement: Executable, parameters: Any = None) -> Any: ...
    async def scalar(self, statement: Executable, parameters: Any = None) -> Any:
        return await (await self._opened()).scalar(statement, parameters)

    @overload
    async def scalars(self, statement: TypedReturnsRows[T], parameters: Any = None) -> ScalarResult[T]: ...
    @overload
    async def scalars(self, statement: Executable, parameters: Any = None) -> ScalarResult[Any]: ...
    async def scalars(self, statement: Executable, parameters: Any = None) -> ScalarResult[Any]:
        return await (await self._opened()).scalars(statement, parameters)

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """The rows of a statement of the driver's (`DriverStatement.fetch`)."""
        return await POOL.of(self._request).fetch(sql, *arguments)

    async def _opened(self) -> AsyncConnection:
        if self._connection is None:
            self._connection = await ENGINE.of(self._request).connect()
            await self._connection.execution_options(isolation_level="AUTOCOMMIT")
        return self._connection

    async def _close(self) -> None:
        if self._connection is not None:
            await self._connection.__aexit__(None, None, None)


Readable = ReadConnection | AsyncConnection
"""What a query takes: the connection of a read, or an open transaction."""


class TransactionalRoute(APIRoute):
    """The transaction is the request: it is committed when the whole answer is made and before a byte of it is sent.

    The route has the transaction, not a dependency, so that the finished answer can still be written in it
    (`app.idempotency.replay`). A problem that must leave a trace is returned as a response, so that it commits.
    It opens when it is first asked for, which is after the body was read: a caller who sends slowly occupies nothing.
    """

    def get_route_handler(self) -> Handler:
        """Raises TypeError where the route asks for a connection that is not of its kind."""
        refused = write_db_of if self.reads else _read_db_of
        if refused in _calls(self.dependant):
            kind, other = ("reads", "WriteDb") if self.reads else ("writes", "ReadDb")
            raise TypeError(f"{self.path} {kind} ({', '.join(sorted(self.methods or ()))}) but asks for {other}")
        return self.around(super().get_route_handler())

    @property
    def reads(self) -> bool:
        return (self.methods or set()) <= READS

    def around(self, handler: Handler) -> Handler:
        """What is done around a handler; a kind of route adds to it what is its own."""
        return _reading(handler) if self.reads else _transactional(handler)


def _reading(handler: Handler) -> Handler:
    async def reading(request: Request) -> Response:
        connection = ReadConnection(request)

        async def open_db() -> ReadConnection:
            return connection

        request_state(request).open_db = open_db
        try:
            return await handler(request)
        finally:
            await connection._close()

    return reading


def _transactional(handler: Handler) -> Handler:
    async def transactional(request: Request) -> Response:
        state = request_state(request)
        async with AsyncExitStack() as held:
            opened: AsyncConnection | None = None

            async def open_db() -> AsyncConnection:
                nonlocal opened
                if opened is None:
                    opened = await held.enter_async_context(ENGINE.of(request).begin())
                return opened

            held.push_async_callback(request.close)  # of an uploaded form's files
            state.open_db = open_db
            response = await handler(request)
            for finish in state.before_commit:
                await finish(response)
            return response

    return transactional


def _calls(dependant: Dependant) -> Iterator[Callable[..., Any] | None]:
    yield dependant.call
    for below in dependant.dependencies:
        yield from _calls(below)


async def readable_of(request: Request) -> Readable:
    """The connection of the request, opened when it is first asked for."""
    open_db = request_state(request).open_db
    assert open_db is not None, "not a TransactionalRoute"
    connection: Readable = await open_db()
    return connection


async def _read_db_of(request: Request) -> ReadConnection:
    connection = await readable_of(request)
    assert isinstance(connection, ReadConnection)
    return connection


async def write_db_of(request: Request) -> AsyncConnection:
    """The transaction of a writing request, opened when it is first asked for."""
    connection = await readable_of(request)
    assert isinstance(connection, AsyncConnection)
    return connection


ReadDb = Annotated[ReadConnection, Depends(_read_db_of)]
WriteDb = Annotated[AsyncConnection, Depends(write_db_of)]
ReadableDb = Annotated[Readable, Depends(readable_of)]
"""For a dependency of both kinds of routes: whichever connection the request has, to read from."""


def constraint_of(error: IntegrityError) -> str | None:
    """The name of the constraint that was violated, whether PostgreSQL's own or named by one of our triggers."""
    cause = getattr(error.orig, "__cause__", None)
    name: str | None = getattr(cause, "constraint_name", None)
    return name


@contextmanager
def on_constraint(*mapping: tuple[str, Callable[[], Exception]]) -> Iterator[None]:
    """Turn a violation of a named constraint into the domain's error; the transaction is lost and rolled back.

    >>> with on_constraint(("members_org_id_phone_index_key", PhoneExists)): ...
    """
    try:
        yield
    except IntegrityError as error:
        violated = constraint_of(error)
        for name, make in mapping:
            if name == violated:
                raise make() from error
        raise
