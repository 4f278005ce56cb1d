"""The database as the rest of the service meets it: metadata, the engine, the request's transaction, named constraints.

`Db` is the connection of the request's transaction (SQLAlchemy Core, no ORM session). A reading request (GET, HEAD)
runs in autocommit: each of its statements is its own snapshot. Any other request is one transaction, opened by
`TransactionalRoute`, committed before the answer is sent and rolled back by whatever is raised.
"""

import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any

import asyncpg as driver
from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy import BindParameter, Dialect, MetaData, Select, literal_column
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql import visitors

from app.settings import Settings

CONNECT_SECONDS = 10


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


def create_engine(settings: Settings) -> AsyncEngine:
    assert settings.database_url is not None
    address = plain_url(settings.database_url.get_secret_value())
    caches = {"statement_cache_size": 0} if settings.transaction_pooler else {}

    async def connect(**_: Any) -> Any:
        # The driver reads the address itself, so that it means here what it means to libpq (`sslmode=`, several hosts).
        try:
            return await driver.connect(
                address,
                server_settings={"application_name": "xuezu", "timezone": "UTC"},
                timeout=CONNECT_SECONDS,
                **caches,
            )
        except OSError as error:
            # While a server restarts its socket's file is missing, its host does not resolve: all the same as refused.
            raise ConnectionError(str(error)) from error

    return create_async_engine(
        "postgresql+asyncpg://",
        connect_args={
            "async_creator_fn": connect,
            "prepared_statement_cache_size": 0 if settings.transaction_pooler else 100,
        },
        pool_size=settings.database_pool,
        max_overflow=0,
        pool_timeout=10,
    )


def migrate(database_url: str, revision: str = "head") -> None:
    """Bring the schema of this database to a revision. Blocking: for start-up and the command line."""
    from alembic import command
    from alembic.config import Config

    config = Config(Path(__file__).parent.parent / "alembic.ini")
    config.attributes["database_url"] = database_url
    command.upgrade(config, revision)


class TransactionalRoute(APIRoute):
    """The transaction is the request: it is committed when the whole answer stands and before a byte of it is sent.

    The route holds the transaction, not a dependency, so that the finished answer can still be written in it
    (`app.idempotency`). A problem that must leave a trace is returned as a response, so that it commits.
    It opens when `Db` is first asked for, which is after the body was read: a caller who sends slowly holds nothing.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        request_db = _reading if (self.methods or set()) <= {"GET", "HEAD"} else _writing

        async def transactional(request: Request) -> Response:
            async with AsyncExitStack() as held:
                held.push_async_callback(request.close)  # of an uploaded form's files
                request.state.open_db = lambda: held.enter_async_context(request_db(request.app.state.engine))
                response = await handler(request)
                for finish in getattr(request.state, "before_commit", ()):
                    await finish(response)
                return response

        return transactional


@asynccontextmanager
async def _reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    async with engine.connect() as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")


@asynccontextmanager
async def _writing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    async with engine.begin() as connection:
        yield connection


async def _db(request: Request) -> AsyncConnection:
    connection: AsyncConnection = await request.state.open_db()
    return connection


Db = Annotated[AsyncConnection, Depends(_db)]


class DriverStatement:
    """A statement for the hottest reads, compiled once and run on the driver's own connection.

    Its constants are written into its text: PostgreSQL can then keep one plan for it, which it cannot for
    `state = $1` over an index that is partial by `state = 'certified'`. (Measured: 0.7 ms → 0.1 ms, which was all
    planning; and building a report's statement anew for each call costs ten times what PostgreSQL needs for it.) It
    runs before the request's transaction begins, with a snapshot of its own, as every statement has under READ
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

    async def fetch_row(self, db: AsyncConnection, **given: Any) -> Any:
        """The first row, or None; columns by name: `row["id"]`."""
        connection: Any = (await db.get_raw_connection()).driver_connection
        return await connection.fetchrow(self.sql, *(given[name] for name in self._parameters))

    async def fetch(self, db: AsyncConnection, **given: Any) -> list[Any]:
        """All rows."""
        connection: Any = (await db.get_raw_connection()).driver_connection
        rows: list[Any] = await connection.fetch(self.sql, *(given[name] for name in self._parameters))
        return rows


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
