"""Jobs, and how they are asked for: on the asker's own connection, so that a job exists exactly when its write does."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.cipher import Cipher
from app.core.i18n import Locale, as_locale, get_locale
from app.core.settings import Settings

if TYPE_CHECKING:
    from pgqueuer.adapters.persistence.queries import Queries
    from pgqueuer.core.tm import TaskManager
    from pgqueuer.ports.driver import NotifyCallback

Payload = dict[str, str]


@dataclass(frozen=True, slots=True)
class Worker:
    """What a job works with."""

    settings: Settings
    engine: AsyncEngine
    cipher: Cipher


@dataclass(frozen=True, slots=True)
class Job:
    """A kind of work. It may be run again at any point of it (a worker was killed), and more than once.

    `run` does it, in the language of the person who started it (`app.core.i18n`); `give_up` is told when it has failed
    for the last time. `at_once` is how many of the kind may run at the same time, in all workers together; 0 is as many
    as there is room for.
    """

    run: Callable[[Worker, Payload], Awaitable[None]]
    give_up: Callable[[Worker, Payload], Awaitable[None]] | None = None
    at_once: int = 0


class Busy(Exception):  # noqa: N818
    """The job cannot run yet: somebody else holds what it needs. It is asked for again a little later."""


async def enqueue(db: AsyncConnection, entrypoint: str, payload: Payload, *, after: timedelta | None = None) -> None:
    """Ask for a job in this transaction: it is run once that has committed, and never where it has not."""
    await _queries(db).enqueue(entrypoint, pack(payload), execute_after=after)


async def enqueue_once(db: AsyncConnection, entrypoint: str, payload: Payload, *, key: str) -> None:
    """Ask for a job in this transaction, unless a job with the same key is waiting or running."""
    await _queries(db).enqueue(entrypoint, pack(payload), dedupe_key=key, on_conflict="skip")


_LOCALE = "locale"


def pack(payload: Payload) -> bytes:
    """A payload as the queue stores it, with the language of the person who starts the job."""
    return orjson.dumps({**payload, _LOCALE: get_locale()})


def unpack(stored: bytes | None) -> tuple[Payload, Locale]:
    """What was packed."""
    payload: Payload = orjson.loads(stored or b"{}")
    return payload, as_locale(payload.pop(_LOCALE, None))


def _queries(db: AsyncConnection) -> "Queries":
    from pgqueuer.adapters.persistence.queries import Queries  # 0.2 s, for which no start waits: `serving.warm_up`

    return Queries(_SessionDriver(db))


class _SessionDriver:
    """A `Driver` of pgqueuer's on a connection of ours, in its transaction; it neither listens nor notifies."""

    def __init__(self, db: AsyncConnection) -> None:
        self._db = db
        self._shutdown = asyncio.Event()

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        result = await self._db.exec_driver_sql(query, args)
        return [dict(row) for row in result.mappings()]

    async def execute(self, query: str, *args: object) -> str:
        await self._db.exec_driver_sql(query, args)
        return ""

    async def add_listener(self, channel: str, callback: "NotifyCallback") -> None:
        raise AssertionError("a request does not listen")

    async def notify(self, channel: str, payload: str) -> None:
        raise AssertionError("the queue's trigger notifies")

    @property
    def shutdown(self) -> asyncio.Event:
        return self._shutdown

    @property
    def tm(self) -> "TaskManager":
        from pgqueuer.core.tm import TaskManager

        return TaskManager()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: Any) -> None: ...
