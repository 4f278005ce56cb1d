"""A watch over the database: a server that falls silent is given up within eight seconds.

A host that vanishes, a stopped process and a cut cable have one thing in common: nobody closes the connection. The
operating system would wait for minutes, and a cancelled statement waits too, since the driver asks the silent server to
cancel it. The watch asks the server every second, on a connection of its own. Where no answer comes, it tries a new
connection as well. Where that fails too, or leads to another server, it aborts all connections of the process:
statements that run fail at once, and requests get 503. As long as no server answers, `Database.connect` fails without
waiting (`DatabaseAway`). The same happens where the address asks for a server that can be written, and the server no
longer can.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from math import ceil
from typing import Any

import asyncpg
import structlog

from app.core.database_errors import get_sqlstate, is_database_lost
from app.database.connections import Database, Role

log = structlog.get_logger()

PERIOD = 1.0
"""Seconds between an answer and the next question."""
SUSPICIOUS_AFTER = 3.0
"""Seconds without an answer, after which a new connection is tried too."""
SILENT_AFTER = 6.5
"""Seconds without an answer, after which the server is given up."""
RETRY_PERIOD = 0.25
"""Seconds between two attempts to reach a server that is away."""
_SLICE = 0.25

_IS_READ_ONLY = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool"
_TOO_MANY_CONNECTIONS = "53300"


class DatabaseWatch:
    """The watch over one database. It sets `Database.is_away`."""

    def __init__(self, database: Database, *, watches_pooler: bool = False) -> None:
        """With `watches_pooler` the pooler of the requests is watched too, if there is one."""
        self._database = database
        self._watches_pooler = watches_pooler and database.uses_pooler(Role.REQUEST)
        self._kept: asyncpg.Connection | None = None
        self._aborted = asyncio.Event()

    async def wait_until_aborted(self) -> None:
        """Return when the connections of the process are aborted the next time."""
        await self._aborted.wait()

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            while True:
                cause = await self._ask()
                if cause is None:
                    await asyncio.sleep(PERIOD)
                else:
                    self._abort(cause, away=True)
                    await self._wait_for_server()
        finally:
            self._keep(None)

    async def _ask(self) -> str | None:
        """Ask the server once. Return why it cannot be used, or None."""
        return await self._ask_server() or await self._ask_pooler()

    async def _ask_server(self) -> str | None:
        asked = self._kept
        if asked is None or asked.is_closed():
            return await self._ask_on_new_connection()
        question = asyncio.create_task(self._read_cause(asked))
        try:
            if not await _wait_until(question.done, SUSPICIOUS_AFTER, question):
                return await self._ask_again(asked, question)
            return question.result()
        except Exception as error:  # the server has closed the connection; it may be there again already
            log.warning("database_watch_disconnected", error=type(error).__name__)
            return await self._ask_on_new_connection()
        finally:
            await _end(question)

    async def _ask_again(self, asked: asyncpg.Connection, question: asyncio.Task[str | None]) -> str | None:
        """Try a new connection beside the question that has no answer yet. Return why the server cannot be used.

        Raises the question's error.
        """
        opening = asyncio.create_task(self._open())

        def is_decided() -> bool:
            return question.done() or (_has_result(opening) and opening.result()._addr != asked._addr)

        try:
            await _wait_until(is_decided, SILENT_AFTER - SUSPICIOUS_AFTER, question, opening)
            if question.done():
                return question.result()
            if not _has_result(opening):
                return "silent"
            # Another server answers, or the same one on a new connection only: the old connections are of no use.
            self._keep(opening.result())
            self._abort("silent", away=False)
            return None
        finally:
            if _has_result(opening) and opening.result() is not self._kept:
                opening.result().terminate()
            await _end(opening)

    async def _ask_on_new_connection(self) -> str | None:
        self._keep(None)
        try:
            opened = await self._open()
        except Exception as error:
            # A server that refuses this connection is there.
            if is_database_lost(error) and get_sqlstate(error) != _TOO_MANY_CONNECTIONS:
                return type(error).__name__
            return None
        self._keep(opened)
        return None

    async def _open(self) -> asyncpg.Connection:
        """Return a new connection, on which the server has answered that it can be used."""
        connection = await self._database.connect(Role.LISTEN, while_away=True)
        try:
            async with asyncio.timeout(SILENT_AFTER):
                cause = await self._read_cause(connection)
        except BaseException:
            connection.terminate()
            raise
        if cause is not None:
            connection.terminate()
            raise ConnectionError(cause)
        return connection

    async def _read_cause(self, connection: asyncpg.Connection) -> str | None:
        is_read_only = await connection.fetchval(_IS_READ_ONLY)
        return "read-only" if is_read_only and self._database.needs_primary else None

    async def _ask_pooler(self) -> str | None:
        """Log in to the pooler. It answers that itself, also while all its connections to the server are in use."""
        if not self._watches_pooler:
            return None
        try:
            connection = await self._database.connect(Role.REQUEST, target="any", while_away=True)
        except Exception as error:
            return "pooler" if get_sqlstate(error) is None and is_database_lost(error) else None
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await connection.close(timeout=1)
        return None

    async def _wait_for_server(self) -> None:
        began = asyncio.get_running_loop().time()
        while await self._ask() is not None:  # noqa: ASYNC110 — the server sends no signal
            await asyncio.sleep(RETRY_PERIOD)
        self._database.is_away = False
        log.info("database_back", seconds=round(asyncio.get_running_loop().time() - began, 1))

    def _abort(self, cause: str, *, away: bool) -> None:
        self._database.is_away = away
        if away:
            self._keep(None)
        count = self._database.abort_connections(but=self._kept)
        log.error("database_lost", cause=cause, aborted=count, away=away)
        self._aborted.set()
        self._aborted = asyncio.Event()

    def _keep(self, connection: asyncpg.Connection | None) -> None:
        if self._kept is not None:
            self._kept.terminate()
        self._kept = connection


async def _wait_until(condition: Callable[[], bool], seconds: float, *tasks: asyncio.Task[Any]) -> bool:
    """Wait until the condition is true, which it becomes when one of the tasks ends. Return whether it is.

    The time counts only while this process runs: one that was stopped, or busy for seconds, must not take that for the
    silence of the server.
    """
    for _ in range(ceil(seconds / _SLICE)):
        pending = {task for task in tasks if not task.done()}
        if condition() or not pending:
            break
        await asyncio.wait(pending, timeout=_SLICE, return_when=asyncio.FIRST_COMPLETED)
    return condition()


def _has_result(task: asyncio.Task[Any]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


async def _end(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end, without its outcome."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


@asynccontextmanager
async def watch_database(database: Database, *, watches_pooler: bool = False) -> AsyncIterator[DatabaseWatch]:
    """Watch the database during the block."""
    watch = DatabaseWatch(database, watches_pooler=watches_pooler)
    watching = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        await _end(watching)
