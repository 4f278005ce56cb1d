"""The database before the service may use it: reachable, new enough, and at the revision that this code knows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from app.core.settings import CannotStart
from app.core.startup import Say, silent
from app.database.indexes import mend_indexes

OLDEST_POSTGRES = 18
CONNECT_SECONDS = 10
# A migration that cannot have its lock gives up: waiting for it, it would hold up every request behind it.
LOCK_TIMEOUT = "5s"


@cache
def revisions() -> tuple[str, ...]:
    """The revisions that this code knows, oldest first, as the names of the migrations' files begin.

    alembic reads them out of the files, but importing it takes a quarter of a second of every start.
    """
    folder = Path(__file__).parents[2] / "migrations" / "versions"
    return tuple(sorted(path.name.partition("_")[0] for path in folder.glob("[0-9]*_*.py")))


def head() -> str:
    """The revision that this code is written for."""
    return revisions()[-1]


def migrate(database_url: str, revision: str = "head") -> None:
    """Bring the schema of this database to a revision. Blocking: for start-up and the command line."""
    from alembic import command
    from alembic.config import Config

    config = Config(Path(__file__).parents[2] / "alembic.ini")
    config.attributes["database_url"] = database_url
    command.upgrade(config, revision)


async def migrate_to_head(database_url: str, *, say: Say = silent) -> None:
    """Bring the database to `head()` and mend its invalid indexes, alone: a second caller waits and finds it done.
    Raises CannotStart.
    """
    connection = await _connect(database_url)
    try:
        async with _one_at_a_time(database_url):
            await connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
            present = await _known_revision(connection, database_url)
            if present != head():
                say(f"Migrating the database from {present or 'nothing'} to {head()}")
                await asyncio.to_thread(migrate, database_url)
            await mend_indexes(connection, say)
    except CannotStart:
        raise
    except Exception as error:
        shown = _shown(database_url)
        if _comes_from(error, asyncpg.InsufficientPrivilegeError):
            raise CannotStart(
                f"The database user may not make tables in {shown}: let it own the database "
                "(ALTER DATABASE … OWNER TO …)."
            ) from error
        if _comes_from(error, asyncpg.LockNotAvailableError):
            raise CannotStart(
                f"A table of {shown} is locked by another session: try again when that session has ended."
            ) from error
        unfinished = _comes_from(error, asyncpg.ObjectNotInPrerequisiteStateError)
        if unfinished is not None:
            raise CannotStart(f"Migrating {shown} failed ({str(unfinished).splitlines()[0]}): try again.") from error
        refusal = _comes_from(error, asyncpg.PostgresError)
        if refusal is None:
            raise
        raise CannotStart(
            f"Migrating {shown} failed ({str(refusal).splitlines()[0]}) and it stays at the last revision that it "
            "reached: where an unreleased version made it, begin anew with another database or data folder."
        ) from error
    finally:
        await connection.close()


@asynccontextmanager
async def _one_at_a_time(database_url: str) -> AsyncIterator[None]:
    """The lock of migrations, in an open transaction that does nothing else.

    So it keeps no snapshot and no table from a CREATE INDEX CONCURRENTLY, which waits for those of others. A statement
    that waits has a snapshot: that is why it does not wait in a statement.
    """
    from app.database.locks import Lock, try_lock_on_driver  # imports SQLAlchemy, for which a start does not wait here

    connection = await _connect(database_url)
    try:
        while True:
            transaction = connection.transaction()
            await transaction.start()
            if await try_lock_on_driver(connection, Lock.MIGRATION):
                break
            await transaction.rollback()
            await asyncio.sleep(0.1)
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL transaction_timeout = 0")
        yield
    finally:
        await connection.close()


async def require_head(database_url: str) -> None:
    """Raise CannotStart where the database cannot be used as it stands."""
    connection = await _connect(database_url)
    try:
        present = await _known_revision(connection, database_url)
    finally:
        await connection.close()
    if present != head():
        raise CannotStart(
            f"The database {_shown(database_url)} is at revision {present or 'none'} and this version of Xuezu "
            f"needs {head()}: run `xuezu migrate` first."
        )


async def _connect(database_url: str) -> asyncpg.Connection:
    """A connection to a server that is new enough and holds UTF-8."""
    shown = _shown(database_url)
    try:
        connection = await asyncpg.connect(_dsn(database_url), timeout=CONNECT_SECONDS)
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        raise CannotStart(f"The database {shown} refused the user or the password in XUEZU_DATABASE_URL.") from error
    except (asyncpg.exceptions.ClientConfigurationError, ValueError) as error:
        raise CannotStart("XUEZU_DATABASE_URL is no address: write postgresql://user@host:5432/database.") from error
    except asyncpg.InvalidCatalogNameError as error:
        raise CannotStart(
            f"The database {shown} does not exist: make it with CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8' "
            "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'."
        ) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CannotStart(f"The database {shown} does not accept connections: {error}.") from error
    except (OSError, TimeoutError) as error:
        reason = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
        raise CannotStart(
            f"The database {shown} cannot be reached{reason}: start it, or mend XUEZU_DATABASE_URL; "
            "without that setting `make run` brings a PostgreSQL of its own."
        ) from error
    try:
        version = connection.get_server_version()
        encoding = connection.get_settings().server_encoding
        if version.major < OLDEST_POSTGRES:
            raise CannotStart(
                f"The database {shown} is PostgreSQL {version.major}.{version.micro} and Xuezu needs "
                f"{OLDEST_POSTGRES} or newer: upgrade it, or name another in XUEZU_DATABASE_URL."
            )
        if encoding != "UTF8":
            raise CannotStart(
                f"The database {shown} is encoded in {encoding} and Xuezu needs UTF8: make another with "
                "CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'."
            )
    except BaseException:
        await connection.close()
        raise
    return connection


async def _known_revision(connection: asyncpg.Connection, database_url: str) -> str | None:
    if not await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL"):
        return None
    present: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    if present is not None and present not in revisions():
        raise CannotStart(
            f"The database {_shown(database_url)} is at revision {present}, which this version of Xuezu does not "
            "know: a newer version has migrated it, so run that one, or use another database or data folder."
        )
    return present


def _dsn(database_url: str) -> str:
    """The address as asyncpg takes it: without SQLAlchemy's `+driver`."""
    scheme, separator, rest = database_url.partition("://")
    return scheme.partition("+")[0] + separator + rest


def _shown(database_url: str) -> str:
    """The address without user and password."""
    try:
        parts = urlsplit(database_url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "in XUEZU_DATABASE_URL"
    host = f"{parts.hostname}{port}" if parts.hostname else "(local socket)"
    return f"{host}{parts.path}"


def _comes_from(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """The error of this kind among an error, its causes, and what was being handled when it was raised."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, kind):
        seen = seen.__cause__ or seen.__context__
    return seen
