"""Notification of consoles that wait for a scan: one LISTEN connection per process, with fan-out in memory.

Each step of the device flow sends NOTIFY in its own transaction. A notification wakes the waiters of its
authorization. If the connection is lost, all waiters wake and read the database.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

import asyncpg
import structlog

from app.authz.signing_keys import KEYS_CHANNEL
from app.core.services import Service
from app.database.connections import Database, Role

log = structlog.get_logger()

SIGN_IN_CHANNEL = "xuezu_sign_in"
_RETRY_SECONDS = 1.0
_PROBE_SECONDS = 20.0


class Waiter:
    """A queue of the states that the authorization of one waiting client reaches. A None in the queue means that a
    state may be missing: read the state from the database."""

    __slots__ = ("_future", "_states")

    def __init__(self) -> None:
        self._states: list[str | None] = []
        self._future: asyncio.Future[None] | None = None

    def put(self, state: str | None) -> None:
        self._states.append(state)
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def wait_for_state(self, seconds: float) -> str | None:
        """Return the next state, or None. Raises TimeoutError if nothing arrives within this number of seconds."""
        if not self._states:
            self._future = asyncio.get_running_loop().create_future()
            await asyncio.wait_for(self._future, seconds)
        return self._states.pop(0)


class SignInWatch:
    """The LISTEN connection of the process and its waiters."""

    def __init__(self, database: Database, on_keys_changed: Callable[[], Awaitable[None]]) -> None:
        self._database = database
        self._on_keys_changed = on_keys_changed
        self._waiters: dict[UUID, set[Waiter]] = {}
        self._lost = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @contextmanager
    def subscribe(self, authorization_id: UUID) -> Iterator[Waiter]:
        """Return a waiter that receives every later step of the authorization."""
        waiter = Waiter()
        self._waiters.setdefault(authorization_id, set()).add(waiter)
        try:
            yield waiter
        finally:
            others = self._waiters[authorization_id]
            others.discard(waiter)
            if not others:
                del self._waiters[authorization_id]

    async def run(self) -> None:
        """Listen until cancelled, and connect again after a lost connection."""
        while True:
            try:
                await self._listen()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("listen_connection_lost", error=type(error).__name__)
            for waiters in list(self._waiters.values()):
                for waiter in waiters:
                    waiter.put(None)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _listen(self) -> None:
        connection = await self._database.connect(Role.LISTEN)
        self._lost.clear()
        try:
            connection.add_termination_listener(lambda _: self._lost.set())
            await connection.add_listener(SIGN_IN_CHANNEL, self._on_step)
            await connection.add_listener(KEYS_CHANNEL, self._on_keys)
            # Notifications that were sent before LISTEN are lost, so all waiters must read the database.
            for waiters in list(self._waiters.values()):
                for waiter in waiters:
                    waiter.put(None)
            while not self._lost.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._lost.wait(), _PROBE_SECONDS)
                    break
                await connection.execute("SELECT 1", timeout=10)
        finally:
            with suppress(Exception):
                await connection.close(timeout=2)

    def _on_step(self, _: object, __: int, ___: str, payload: str) -> None:
        notification = json.loads(payload)
        for waiter in self._waiters.get(UUID(notification["id"]), ()):
            waiter.put(notification["state"])

    def _on_keys(self, *_: object) -> None:
        task = asyncio.create_task(self._reload_keys())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload_keys(self) -> None:
        try:
            await self._on_keys_changed()
        except Exception as error:
            log.warning("signing_keys_not_reloaded", error=type(error).__name__)


WATCH = Service[SignInWatch]("sign_in_watch")
