"""Metadata, the engine, the connection of a request, and errors by constraint name.

A route declares one of two connections (SQLAlchemy Core, no ORM session):

- `ReadDb`, in a route that reads (GET, HEAD): autocommit; each statement has its own snapshot. It has no `begin` and no
  `commit`.
- `WriteDb`, in any other route: the one transaction of the request. `TransactionalRoute` commits it before the answer
  is sent; any exception rolls it back.

A route with the wrong kind of connection is refused when the route is created. Queries take a `Readable`, which is
either of the two. Operations take an `AsyncConnection`, which only `WriteDb` is.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Annotated, Any, ClassVar, TypeVar, TypeVarTuple, overload

import asyncpg
from fastapi import Depends, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from sqlalchemy import AdaptedConnection, CursorResult, Executable, MetaData, NullPool, ScalarResult, event
from sqlalchemy.exc import DisconnectionError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql.selectable import TypedReturnsRows

from app.core.services import Service
from app.core.settings import Settings
from app.database import driver
from app.database.connections import Database, Role
from app.database.driver import ReadPool, StatementSource
from app.database.statement_spans import trace_statements
from app.tracing.spans import get_tracer
from app.tracing.statements import know_tables
from app.web.parameters import build_query_check
from app.web.request_bodies import StrictRequest
from app.web.request_state import get_request_state

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

DATABASE = Service[Database]("database")
ENGINE = Service[AsyncEngine]("engine")
POOL = Service[ReadPool]("pool")

READS = frozenset({"GET", "HEAD"})


class Table(DeclarativeBase):
    """The base of the declarative tables. They only describe the schema: no session, no relationships."""

    metadata = MetaData(
        naming_convention={
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ck": "%(table_name)s_%(constraint_name)s_check",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
            "pk": "%(table_name)s_pkey",
        }
    )


know_tables(Table.metadata.tables)  # its modules add theirs later


def create_engine(
    settings: Settings, role: Role = Role.COMMAND, *, database: Database | None = None, size: int | None = None
) -> AsyncEngine:
    """Create an engine whose connections have this role.

    It keeps at most `size` connections (default: XUEZU_DATABASE_POOL), or with 0 none: each is opened when it is needed
    and closed after its use. Without a `database` it has one of its own.
    """
    return create_engine_over(
        database or Database.from_settings(settings), role, size=settings.database_pool if size is None else size
    )


def create_engine_over(database: Database, role: Role, *, size: int) -> AsyncEngine:
    """Create an engine over a database that other engines and pools share, as `create_engine` does."""

    async def open_connection(**_: object) -> asyncpg.Connection:
        return await database.connect(role)

    kept: dict[str, Any] = {"pool_size": size, "max_overflow": 0, "pool_timeout": 10}
    engine = create_async_engine(
        "postgresql+asyncpg://",
        connect_args={
            "async_creator_fn": open_connection,
            "prepared_statement_cache_size": 0 if database.uses_pooler(role) else 100,
        },
        **(kept if size else {"poolclass": NullPool}),
    )
    event.listen(engine.sync_engine, "checkout", _replace_closed)
    if get_tracer() is not None:
        trace_statements(engine)
    return engine


def _replace_closed(connection: AdaptedConnection, *_: object) -> None:
    """Let the pool open another connection where the server or the watch has ended this one since its last use."""
    opened: asyncpg.Connection = connection.driver_connection
    if opened.is_closed():
        raise DisconnectionError


def create_pools(database: Database, size: int, role: Role = Role.REQUEST) -> tuple[AsyncEngine, ReadPool]:
    """Create an engine and a read pool, which open at most `size` connections together."""
    read_pool_size = max(1, size // driver.SHARE)
    engine = create_engine_over(database, role, size=size - read_pool_size)
    return engine, ReadPool(database, read_pool_size, role)


class ReadConnection(StatementSource):
    """The connection of a reading request. It takes a connection of the engine in autocommit at the first statement of
    SQLAlchemy Core and returns it after the answer. `fetch` uses the read pool instead."""

    def __init__(self, engine: AsyncEngine, pool: ReadPool) -> None:
        self._engine = engine
        self._pool = pool
        self._connection: AsyncConnection | None = None
        self._dependents: list[ReadConnection] = []

    @overload
    async def execute(self, statement: TypedReturnsRows[*Ts], parameters: Any = None) -> CursorResult[*Ts]: ...
    @overload
    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[*tuple[Any, ...]]: ...
    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[*tuple[Any, ...]]:
        return await self._use(lambda db: db.execute(statement, parameters))

    @overload
    async def scalar(self, statement: TypedReturnsRows[T], parameters: Any = None) -> T | None: ...
    @overload
    async def scalar(self, statement: Executable, parameters: Any = None) -> Any: ...
    async def scalar(self, statement: Executable, parameters: Any = None) -> Any:
        return await self._use(lambda db: db.scalar(statement, parameters))

    @overload
    async def scalars(self, statement: TypedReturnsRows[T], parameters: Any = None) -> ScalarResult[T]: ...
    @overload
    async def scalars(self, statement: Executable, parameters: Any = None) -> ScalarResult[Any]: ...
    async def scalars(self, statement: Executable, parameters: Any = None) -> ScalarResult[Any]:
        return await self._use(lambda db: db.scalars(statement, parameters))

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Return the rows of a statement that runs on the read pool (`DriverStatement.fetch`)."""
        return await self._pool.fetch(sql, *arguments)

    async def _use(self, run: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run one statement on the connection of the engine."""
        return await run(await self._open())

    async def _open(self) -> AsyncConnection:
        if self._connection is None:
            self._connection = await self._engine.connect()
            await self._connection.execution_options(isolation_level="AUTOCOMMIT")
        return self._connection

    def close_with(self, dependent: "ReadConnection") -> None:
        """Close another connection when this one is closed."""
        self._dependents.append(dependent)

    async def close(self) -> None:
        """Return the connection to its engine. It can be used again."""
        for dependent in self._dependents:
            await dependent.close()
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.__aexit__(None, None, None)


Readable = ReadConnection | AsyncConnection
"""The connection that a query takes: a read connection or an open transaction."""


class TransactionalRoute(APIRoute):
    """A route whose request is one transaction. It commits after the answer is complete and before a byte of it is
    sent.

    The transaction belongs to the route, not to a dependency, so that the finished answer can be stored in it
    (`app.idempotency.replay`). A problem that must leave a trace is returned as a response, so that the transaction
    commits. The transaction begins at its first use, after the body was read: a slow sender occupies no connection.
    """

    strict_query: ClassVar[bool] = True
    """Whether the query can have only the parameters that the route declares (422)."""

    def get_route_handler(self) -> Handler:
        """Return the handler. Raises TypeError if the route declares a connection of the other kind."""
        refused = get_write_db if self.reads else get_read_db
        if refused in _list_calls(self.dependant):
            kind, other = ("reads", "WriteDb") if self.reads else ("writes", "ReadDb")
            raise TypeError(f"{self.path} {kind} ({', '.join(sorted(self.methods or ()))}) but asks for {other}")
        return self.wrap_handler(super().get_route_handler())

    @property
    def reads(self) -> bool:
        return (self.methods or set()) <= READS

    def wrap_handler(self, handler: Handler) -> Handler:
        """Return a handler that checks the query string, then runs `handler` with the database connection of the
        request. Subclasses extend it."""
        wrapped = _wrap_read(handler) if self.reads else _wrap_write(handler)
        if not self.strict_query:
            return wrapped
        check_query = build_query_check(self.dependant)

        async def check_query_and_handle(request: Request) -> Response:
            check_query(request.scope)
            return await wrapped(request)

        return check_query_and_handle


def _wrap_read(handler: Handler) -> Handler:
    async def handle_read(request: Request) -> Response:
        connection: ReadConnection | None = None

        async def open_db() -> ReadConnection:
            nonlocal connection
            if connection is None:
                connection = ReadConnection(ENGINE.get(request), POOL.get(request))
            return connection

        get_request_state(request).open_db = open_db
        try:
            return await handler(request)
        finally:
            if connection is not None:
                await connection.close()

    return handle_read


def _wrap_write(handler: Handler) -> Handler:
    async def handle_write(request: Request) -> Response:
        request = StrictRequest(request.scope, request.receive, request._send)
        state = get_request_state(request)
        async with AsyncExitStack() as stack:
            opened: AsyncConnection | None = None

            async def open_db() -> AsyncConnection:
                nonlocal opened
                if opened is None:
                    opened = await stack.enter_async_context(ENGINE.get(request).begin())
                return opened

            stack.push_async_callback(request.close)  # closes the files of an uploaded form
            state.open_db = open_db
            response = await handler(request)
            for finish in state.before_commit:
                await finish(response)
            return response

    return handle_write


def _list_calls(dependant: Dependant) -> Iterator[Callable[..., Any] | None]:
    yield dependant.call
    for dependency in dependant.dependencies:
        yield from _list_calls(dependency)


async def get_readable_db(request: Request) -> Readable:
    """Return the connection of the request, which is opened at the first use."""
    open_db = get_request_state(request).open_db
    assert open_db is not None, "not a TransactionalRoute"
    connection: Readable = await open_db()
    return connection


async def get_read_db(request: Request) -> ReadConnection:
    """Return the connection of a reading request."""
    connection = await get_readable_db(request)
    assert isinstance(connection, ReadConnection)
    return connection


async def get_write_db(request: Request) -> AsyncConnection:
    """Return the transaction of a writing request; it is opened at the first use."""
    connection = await get_readable_db(request)
    assert isinstance(connection, AsyncConnection)
    return connection


ReadDb = Annotated[ReadConnection, Depends(get_read_db)]
WriteDb = Annotated[AsyncConnection, Depends(get_write_db)]
ReadableDb = Annotated[Readable, Depends(get_readable_db)]
"""The connection of the request, for dependencies that reading and writing routes share. It is only read from."""


def get_constraint_name(error: IntegrityError) -> str | None:
    """Return the name of the violated constraint, PostgreSQL's own or one that a trigger of ours names."""
    cause = getattr(error.orig, "__cause__", None)
    name: str | None = getattr(cause, "constraint_name", None)
    return name


@contextmanager
def on_constraint(*mapping: tuple[str, Callable[[], Exception]]) -> Iterator[None]:
    """Turn a violation of a named constraint into an error of the domain. The transaction is lost and rolled back.

    >>> with on_constraint(("members_org_id_phone_index_key", PhoneExists)): ...
    """
    try:
        yield
    except IntegrityError as error:
        violated = get_constraint_name(error)
        for name, make in mapping:
            if name == violated:
                raise make() from error
        raise
