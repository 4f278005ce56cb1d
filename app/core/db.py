"""The database as the rest of the service meets it: metadata, the engine, the request's transaction, named constraints.

`Db` is the connection of the request's transaction (SQLAlchemy Core, no ORM session). A reading request (GET, HEAD)
runs in autocommit: each of its statements is its own snapshot. Any other request is one transaction, opened by
`TransactionalRoute`, committed before the answer is sent and rolled back by whatever is raised.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager, nullcontext
from typing import Annotated, Any, cast

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute, _effective_route_context_var
from sqlalchemy import MetaData
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from app.core import driver
from app.core.driver import Drivers, OnDrivers
from app.core.plan import Handler, handler_of, plan_of
from app.core.settings import Settings


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

    async def open_connection(**_: Any) -> Any:
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


def create_pools(settings: Settings) -> tuple[AsyncEngine, Drivers]:
    """The engine and, beside it, the driver's own connections; together no more than the settings allow."""
    aside = max(1, settings.database_pool // driver.SHARE)
    return create_engine(settings, but=aside), Drivers(lambda: driver.connect(settings), aside)


class TransactionalRoute(APIRoute):
    """The transaction is the request: it is committed when the whole answer stands and before a byte of it is sent.

    The route holds the transaction, not a dependency, so that the finished answer can still be written in it
    (`app.idempotency.replay`). A problem that must leave a trace is returned as a response, so that it commits.
    It opens when `Db` is first asked for, which is after the body was read: a caller who sends slowly holds nothing.

    `planned` is what answers a request by planned steps (`app.core.plan`), which need nothing of FastAPI's middleware.
    """

    planned: Handler | None = None

    def get_route_handler(self) -> Handler:
        included = _effective_route_context_var.get()  # the route with what its router adds: prefix, dependencies
        route: Any = self if included is None or included.original_route is not self else included
        steps = None if route.body_field else plan_of(route.dependant)
        handler = self.around(super().get_route_handler() if steps is None else handler_of(route, steps))
        self.planned = handler if steps is not None else None
        return handler

    def around(self, handler: Handler) -> Handler:
        """What is done around a handler; a kind of route adds to it what is its own."""
        request_db = _reading if (self.methods or set()) <= {"GET", "HEAD"} else _writing

        async def transactional(request: Request) -> Response:
            async with AsyncExitStack() as held:
                opened: AsyncConnection | None = None

                async def open_db() -> AsyncConnection:
                    nonlocal opened
                    if opened is None:
                        opened = await held.enter_async_context(request_db(request, held))
                    return opened

                held.push_async_callback(request.close)  # of an uploaded form's files
                request.state.open_db = open_db
                response = await handler(request)
                for finish in getattr(request.state, "before_commit", ()):
                    await finish(response)
                return response

        return transactional


class Reading(OnDrivers):
    """The `Db` of a reading request: a connection of the engine in autocommit, borrowed when the first statement of
    Core is run. A `DriverStatement` needs none: it runs on the driver's own connections.

    It does what reads do with an AsyncConnection, and nothing else.
    """

    def __init__(self, drivers: Drivers, engine: AsyncEngine, held: AsyncExitStack) -> None:
        self.drivers = drivers
        self._engine = engine
        self._held = held
        self._connection: AsyncConnection | None = None

    async def execute(self, *statement: Any, **options: Any) -> Any:
        return await (await self._opened()).execute(*statement, **options)

    async def scalar(self, *statement: Any, **options: Any) -> Any:
        return await (await self._opened()).scalar(*statement, **options)

    async def scalars(self, *statement: Any, **options: Any) -> Any:
        return await (await self._opened()).scalars(*statement, **options)

    async def _opened(self) -> AsyncConnection:
        if self._connection is None:
            connection = await self._held.enter_async_context(self._engine.connect())
            self._connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
        return self._connection


def _reading(request: Request, held: AsyncExitStack) -> AbstractAsyncContextManager[AsyncConnection]:
    state = request.app.state
    return nullcontext(cast("AsyncConnection", Reading(state.drivers, state.engine, held)))


def _writing(request: Request, _: AsyncExitStack) -> AbstractAsyncContextManager[AsyncConnection]:
    engine: AsyncEngine = request.app.state.engine
    return engine.begin()


async def db_of(request: Request) -> AsyncConnection:
    """The connection of the request, opened when it is first asked for."""
    connection: AsyncConnection = await request.state.open_db()
    return connection


Db = Annotated[AsyncConnection, Depends(db_of)]


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
