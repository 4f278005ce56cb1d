"""Jobs and how to enqueue them, on the caller's connection: a job exists if and only if the caller's write commits."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.cipher import Cipher
from app.core.i18n import Locale, get_locale, parse_locale
from app.core.settings import Settings
from app.database.replica import Replica
from app.tracing.spans import SPAN

if TYPE_CHECKING:
    from pgqueuer.adapters.persistence.queries import Queries
    from pgqueuer.core.tm import TaskManager
    from pgqueuer.ports.driver import NotifyCallback

Payload = dict[str, str]


@dataclass(frozen=True, slots=True)
class Worker:
    """The resources that a job uses."""

    settings: Settings
    engine: AsyncEngine
    cipher: Cipher
    replica: Replica | None = None
    """The standby from which long reads can be done (`Replica.catch_up`)."""


@dataclass(frozen=True, slots=True)
class Job:
    """A kind of job. A job can run more than once, and again after an interruption at any point (its worker was
    killed).

    `run` does the work, in the language of the person who started the job (`app.core.i18n`). `on_final_failure` is
    called after the last attempt has failed. `concurrency_limit` is how many jobs of this kind can run at the same time
    in all workers together; 0 means no limit of its own.
    """

    run: Callable[[Worker, Payload], Awaitable[None]]
    on_final_failure: Callable[[Worker, Payload], Awaitable[None]] | None = None
    concurrency_limit: int = 0


class Busy(Exception):
    """The job cannot run yet: another transaction has a lock that it needs. It is enqueued again with a short delay."""


async def enqueue(db: AsyncConnection, entrypoint: str, payload: Payload, *, after: timedelta | None = None) -> None:
    """Enqueue a job in this transaction: it runs after the commit, and never after a rollback."""
    await _build_job_queries(db).enqueue(entrypoint, pack_payload(payload), execute_after=after)


async def enqueue_once(db: AsyncConnection, entrypoint: str, payload: Payload, *, key: str) -> None:
    """Enqueue a job in this transaction, unless a job with the same key is waiting or running."""
    await _build_job_queries(db).enqueue(entrypoint, pack_payload(payload), dedupe_key=key, on_conflict="skip")


_LOCALE = "locale"
_TRACEPARENT = "traceparent"


def pack_payload(payload: Payload) -> bytes:
    """Return the payload as the queue stores it, with the language of the person who starts the job, and the trace of
    the request where there is one."""
    span = SPAN.get()
    trace = {} if span is None else {_TRACEPARENT: span.traceparent}
    return orjson.dumps({**payload, _LOCALE: get_locale(), **trace})


def unpack_payload(stored: bytes | None) -> tuple[Payload, Locale, str | None]:
    """Return the payload, the language and the `traceparent` that `pack_payload` stored."""
    payload: Payload = orjson.loads(stored or b"{}")
    traceparent = payload.pop(_TRACEPARENT, None)
    return payload, parse_locale(payload.pop(_LOCALE, None)), traceparent


def _build_job_queries(db: AsyncConnection) -> "Queries":
    """Return pgqueuer's operations on the job tables, which run on this connection and in its transaction."""
    from pgqueuer.adapters.persistence.queries import (
        Queries,  # takes 0.2 s: `http_server.warm_up` imports it after the start
    )

    return Queries(_SessionDriver(db))


class _SessionDriver:
    """A pgqueuer `Driver` on a connection of this service, in its transaction. It does not listen or notify."""

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
