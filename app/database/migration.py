"""Checks and migrations before the service uses the database: reachable, new enough, at this code's revision."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from app.core.database_url import is_database_url
from app.core.settings import MALFORMED_DATABASE_URL, CannotStart
from app.core.startup import ShowLine, show_nothing
from app.database.indexes import repair_indexes

OLDEST_POSTGRES = 18
CONNECT_SECONDS = 10
# A migration that cannot get its lock fails: while it waits, every request behind it waits too.
LOCK_TIMEOUT = "5s"


@cache
def list_revisions() -> tuple[str, ...]:
    """Return the revisions that this code knows, oldest first, from the names of the migration files.

    alembic reads the files themselves, but its import adds a quarter of a second to every start.
    """
    directory = Path(__file__).parents[2] / "migrations" / "versions"
    return tuple(sorted(path.name.partition("_")[0] for path in directory.glob("[0-9]*_*.py")))


def get_head_revision() -> str:
    """Return the schema revision that this code needs."""
    return list_revisions()[-1]


def migrate(database_url: str, revision: str = "head") -> None:
    """Migrate the schema of this database to a revision. It blocks: only for start-up and the command line."""
    from alembic import command
    from alembic.config import Config

    config = Config(Path(__file__).parents[2] / "alembic.ini")
    config.attributes["database_url"] = database_url
    command.upgrade(config, revision)


async def migrate_to_head(database_url: str, *, show: ShowLine = show_nothing) -> None:
    """Migrate the database to the head revision and repair its invalid indexes.

    One process does this at a time: another waits for the migration lock, then finds nothing to do. Raises CannotStart.
    """
    connection = await _connect(database_url)
    try:
        async with _lock_migrations(database_url):
            await connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
            present = await _find_revision(connection, database_url)
            if present != get_head_revision():
                show(f"Migrating the database from {present or 'nothing'} to {get_head_revision()}")
                await asyncio.to_thread(migrate, database_url)
            await repair_indexes(connection, show)
    except CannotStart:
        raise
    except Exception as error:
        shown = _hide_password(database_url)
        if _find_cause(error, asyncpg.InsufficientPrivilegeError):
            raise CannotStart(
                f"The database user may not make tables in {shown}: let it own the database "
                "(ALTER DATABASE … OWNER TO …)."
            ) from error
        if _find_cause(error, asyncpg.LockNotAvailableError):
            raise CannotStart(
                f"A table of {shown} is locked by another session: try again when that session has ended."
            ) from error
        unfinished = _find_cause(error, asyncpg.ObjectNotInPrerequisiteStateError)
        if unfinished is not None:
            raise CannotStart(f"Migrating {shown} failed ({str(unfinished).splitlines()[0]}): try again.") from error
        refusal = _find_cause(error, asyncpg.PostgresError)
        if refusal is None:
            raise
        raise CannotStart(
            f"Migrating {shown} failed ({str(refusal).splitlines()[0]}) and it stays at the last revision that it "
            "reached: where an unreleased version made it, start with another database or data directory."
        ) from error
    finally:
        await connection.close()


@asynccontextmanager
async def _lock_migrations(database_url: str) -> AsyncIterator[None]:
    """Take the migration lock and release it after the block, in an open transaction that does nothing else.

    CREATE INDEX CONCURRENTLY waits for transactions with a snapshot or a table lock. This transaction has neither. A
    statement that waits for a lock has a snapshot: therefore this function polls for the lock.
    """
    from app.database.locks import Lock, try_lock_on_driver  # imports SQLAlchemy, which is slow

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
    """Raise CannotStart if the database cannot be used or is at another revision."""
    connection = await _connect(database_url)
    try:
        present = await _find_revision(connection, database_url)
    finally:
        await connection.close()
    if present != get_head_revision():
        raise CannotStart(
            f"The database {_hide_password(database_url)} is at revision {present or 'none'} and this version of Xuezu "
            f"needs {get_head_revision()}: run `xuezu migrate` first."
        )


async def _connect(database_url: str) -> asyncpg.Connection:
    """Return a connection to a server that is new enough and encodes text in UTF-8. Raises CannotStart."""
    if not is_database_url(database_url):
        raise CannotStart(MALFORMED_DATABASE_URL)
    shown = _hide_password(database_url)
    try:
        connection = await asyncpg.connect(_build_dsn(database_url), timeout=CONNECT_SECONDS)
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        raise CannotStart(f"The database {shown} refused the user or the password of XUEZU_DATABASE_URL.") from error
    except (asyncpg.exceptions.ClientConfigurationError, ValueError) as error:
        raise CannotStart(MALFORMED_DATABASE_URL) from error
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


async def _find_revision(connection: asyncpg.Connection, database_url: str) -> str | None:
    if not await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL"):
        return None
    present: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    if present is not None and present not in list_revisions():
        raise CannotStart(
            f"The database {_hide_password(database_url)} is at revision {present}, which this version of Xuezu does "
            "not know: a newer version has migrated it, so run that one, or use another database or data directory."
        )
    return present


def _build_dsn(database_url: str) -> str:
    """Return the address without SQLAlchemy's `+driver`, as asyncpg accepts it."""
    scheme, separator, rest = database_url.partition("://")
    return scheme.partition("+")[0] + separator + rest


def _hide_password(database_url: str) -> str:
    """Return the address without user and password."""
    try:
        parts = urlsplit(database_url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "in XUEZU_DATABASE_URL"
    host = f"{parts.hostname}{port}" if parts.hostname else "(local socket)"
    return f"{host}{parts.path}"


def _find_cause(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """Return the error of this kind among an error, its causes and its contexts, or None."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, kind):
        cause = cause.__cause__ or cause.__context__
    return cause
