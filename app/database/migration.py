"""Checks and migrations before the service uses the database: reachable, new enough, with a schema for this code."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import asyncpg

from app.core.settings import CannotStart
from app.core.startup import ShowLine, show_nothing
from app.database.connections import LIMITS, Database, Role
from app.database.indexes import repair_indexes
from app.database.schema_compatibility import (
    SELECT_SCHEMA,
    SchemaState,
    get_head_revision,
    list_revisions,
    require_compatible,
)

if TYPE_CHECKING:
    from alembic.config import Config  # its import is slow

OLDEST_POSTGRES = 18
LOCK_TIMEOUT = f"{LIMITS[Role.MIGRATION].lock}s"


class PlannedStep(NamedTuple):
    """A migration that is to run."""

    revision: str
    down: bool
    summary: str
    oldest_code: str | None
    """The oldest revision whose code can run on the schema that the migration leaves; None: its own alone."""


def migrate(database_url: str, revision: str = "head", *, down: bool = False) -> None:
    """Migrate the schema of this database to a revision, with `down` back to an older one. It blocks: only for
    start-up and the command line."""
    from alembic import command

    (command.downgrade if down else command.upgrade)(_read_alembic_config(database_url), revision)


def _read_alembic_config(database_url: str = "") -> "Config":
    from alembic.config import Config

    config = Config(Path(__file__).parents[2] / "alembic.ini")
    config.attributes["database_url"] = database_url
    return config


async def migrate_to_head(database_url: str, *, show: ShowLine = show_nothing) -> None:
    """Migrate the database to the head revision and repair its invalid indexes.

    A newer schema on which this code can run stays as it is. One process does this at a time: another waits for the
    migration lock, then finds nothing to do. Raises CannotStart.
    """
    await migrate_to(database_url, get_head_revision(), show=show)


async def migrate_to(database_url: str, revision: str, *, down: bool = False, show: ShowLine = show_nothing) -> str:
    """Migrate the database to this revision, repair its invalid indexes, and return the revision that it is at.

    Without `down` a database at a newer revision stays as it is, if this code can run on it. Raises CannotStart.
    """
    connection = await _connect(database_url)
    try:
        async with _lock_migrations(database_url):
            state = await read_schema_state(connection)
            _require_path(state, revision, _hide_password(database_url), down=down)
            if state.revision not in (None, *list_revisions()):
                show(f"The database is at revision {state.revision} of a newer version, on which this version can run")
                return str(state.revision)
            if state.revision != revision:
                if _is_older(revision, state.revision):
                    show(f"Taking the database back from {state.revision} to {revision}")
                    await asyncio.to_thread(migrate, database_url, revision, down=True)
                else:
                    show(f"Migrating the database from {state.revision or 'nothing'} to {revision}")
                    await asyncio.to_thread(migrate, database_url, revision)
            await repair_indexes(connection, show)
            return revision
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
        await connection.execute("SET LOCAL transaction_timeout = 0")
        yield
    finally:
        await connection.close()


def _is_older(revision: str, present: str | None) -> bool:
    """Return whether a revision comes before the present one."""
    return present in list_revisions() and list_revisions().index(revision) < list_revisions().index(present)


def _require_path(state: SchemaState, revision: str, database: str, *, down: bool) -> None:
    """Raise CannotStart if this code has no way from the state to the revision, or goes back without `down`."""
    require_compatible(state, database, migrating=True)
    if revision not in list_revisions():
        raise CannotStart(
            f"Revision {revision} is not one of this version of Xuezu: its newest is {list_revisions()[-1]}."
        )
    if down and state.revision not in (None, *list_revisions()):
        raise CannotStart(
            f"The database {database} is at revision {state.revision}: only the version of Xuezu that has this "
            "revision can take it back."
        )
    if _is_older(revision, state.revision) and not down:
        raise CannotStart(
            f"The database {database} is at revision {state.revision}, which is newer than {revision}: going back "
            "deletes what only the newer tables and columns hold. Make a backup, then add --down."
        )


async def plan_migration(database_url: str, revision: str, *, down: bool = False) -> list[PlannedStep]:
    """Return the migrations that `migrate_to` would run, in their order. Changes nothing. Raises CannotStart."""
    connection = await _connect(database_url)
    try:
        state = await read_schema_state(connection)
    finally:
        await connection.close()
    _require_path(state, revision, _hide_password(database_url), down=down)
    if state.revision not in (None, *list_revisions()):
        return []
    from alembic.script import ScriptDirectory

    back = _is_older(revision, state.revision)
    known = list_revisions()
    low, high = (revision, state.revision) if back else (state.revision, revision)
    names = known[known.index(low) + 1 if low else 0 : known.index(high or revision) + 1]
    scripts = ScriptDirectory.from_config(_read_alembic_config())
    steps = [
        PlannedStep(name, back, script.doc.partition("\n")[0], getattr(script.module, "oldest_code", None))
        for name in names
        if (script := scripts.get_revision(name)) is not None
    ]
    return steps[::-1] if back else steps


async def require_compatible_database(database_url: str) -> None:
    """Raise CannotStart if the database cannot be used, or this code cannot run on its schema."""
    connection = await _connect(database_url)
    try:
        state = await read_schema_state(connection)
    finally:
        await connection.close()
    require_compatible(state, _hide_password(database_url))


async def read_schema_state(connection: asyncpg.Connection) -> SchemaState:
    """Return the state of the schema, also of a database without tables or from before the declarations."""
    if not await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL"):
        return SchemaState(None, None)
    if not await connection.fetchval("SELECT to_regclass('schema_compatibility') IS NOT NULL"):
        return SchemaState(await connection.fetchval("SELECT version_num FROM alembic_version"), None)
    row = await connection.fetchrow(SELECT_SCHEMA)
    return SchemaState(*row) if row else SchemaState(None, None)


async def _connect(database_url: str) -> asyncpg.Connection:
    """Return a connection to a server that is new enough and encodes text in UTF-8. Raises CannotStart."""
    database = Database.from_url(database_url)
    shown = str(database)
    try:
        connection = await database.connect(Role.MIGRATION)
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        raise CannotStart(f"The database {shown} refused the user or the password of XUEZU_DATABASE_URL.") from error
    except asyncpg.InvalidCatalogNameError as error:
        raise CannotStart(
            f"The database {shown} does not exist: make it with CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8' "
            "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'."
        ) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CannotStart(f"The database {shown} does not accept connections: {error}.") from error
    except asyncpg.TargetServerAttributeNotMatched as error:
        raise CannotStart(f"None of the servers of {shown} is one that `target_session_attrs` asks for.") from error
    except OSError as error:
        reason = f" ({error.strerror})" if error.strerror else ""
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


def _hide_password(database_url: str) -> str:
    """Return the hosts and the database of the address."""
    return str(Database.from_url(database_url))


def _find_cause(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """Return the error of this kind among an error, its causes and its contexts, or None."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, kind):
        cause = cause.__cause__ or cause.__context__
    return cause
