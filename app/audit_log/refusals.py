"""Refused requests (401, 403, 404, 429): each is counted and logged, and the audit has a bounded number of entries.

- The metric `refusals_total{route,reason}` counts every one that a route answered; the log line of the request has the
  reason.
- The audit table is append-only, so what nobody in particular can cause must not fill it. A process adds an entry soon
  after the first refusal of a kind in an hour, and at the end of the hour one with the number of the others. A kind is
  an operation, a reason and a caller (user and network); of one operation and reason at most `CALLERS` callers an hour
  are told apart, and at most `KINDS` kinds in all. What is beyond is counted without its caller, then without its
  operation. So a process adds at most 2 * (KINDS + 1) entries an hour, and no refusal is missing from their sums.
- Where a refusal says more than that (a wrong number, a refresh token that was copied, a challenge used up), its
  operation records an entry of its own besides.

A process that is killed loses what it has counted since its last entry; one that stops writes it first.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.metrics import Counter
from app.core.networks import get_network, parse_address
from app.core.services import Service
from app.schema.audit import AuditEntry
from app.web.request_state import get_request_state

log = structlog.get_logger()

EVERY = 5.0
"""Seconds until the first refusal of a kind is in the audit."""
INTERVAL = 3600.0
"""Seconds in which a kind has at most two entries."""
KINDS = 100
CALLERS = 5


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing that was refused: at which route (`GET /v1/me`), and why (the problem's slug, or OAuth's error)."""

    operation: str
    reason: str
    user_id: UUID | None = None
    network: str | None = None


class CountRefusals:
    """Counts the refusals of the app that it wraps."""

    def __init__(self, app: ASGIApp, refusals: "Refusals") -> None:
        self._app = app
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        finally:
            state = get_request_state(scope)
            reason = state.refusal
            route = scope.get("route")  # none where the address is nobody's, or a file's: no right was wanting
            if reason is not None and route is not None:
                operation = f"{scope['method']} {route.path}"
                client = scope.get("client")
                address = parse_address(client[0]) if client else None
                network = None if address is None else get_network(address)
                self._refusals.count(Refusal(operation, reason, state.user_id, network), state.request_id)


@dataclass(slots=True)
class _Count:
    """How often a kind was refused since its last entry, and the id of the first such request."""

    times: int = 0
    request_id: str | None = None
    entered: bool = False


_OTHERS = Refusal("other", "other")


class Refusals:
    """The refusals of this process: `total` counts all of them, and the audit's entries are made here."""

    def __init__(self) -> None:
        self.total = Counter("refusals_total", "Requests refused with 401, 403, 404 or 429", "route", "reason")
        self._kinds: dict[Refusal, _Count] = {}

    def count(self, refusal: Refusal, request_id: str | None) -> None:
        """Count one refused request."""
        self.total.add(refusal.operation, refusal.reason)
        self._note(self._kind_of(refusal), request_id, 1)

    async def write(self, engine: AsyncEngine) -> None:
        """Add the entries of kinds that have none in this interval; where the database is away, they stay counted."""
        await self._write(engine, {kind: count for kind, count in self._kinds.items() if not count.entered})

    async def end_interval(self, engine: AsyncEngine) -> None:
        """Add entries for all that is counted and not in the audit yet, and begin a new interval."""
        ended, self._kinds = self._kinds, {}
        await self._write(engine, {kind: count for kind, count in ended.items() if count.times})

    @asynccontextmanager
    async def written(self, engine: AsyncEngine) -> AsyncIterator[None]:
        """While this is entered the entries are added as time goes by, and the last ones at its end."""

        async def run() -> None:
            ends_at = time.monotonic() + INTERVAL
            while True:
                await asyncio.sleep(EVERY)
                if time.monotonic() < ends_at:
                    await self.write(engine)
                else:
                    ends_at = time.monotonic() + INTERVAL
                    await self.end_interval(engine)

        writing = asyncio.create_task(run())
        try:
            yield
        finally:
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing
            await self.end_interval(engine)

    def _kind_of(self, refusal: Refusal) -> Refusal:
        if refusal in self._kinds:
            return refusal
        anybody = Refusal(refusal.operation, refusal.reason)
        callers = sum(kind.operation == refusal.operation and kind.reason == refusal.reason for kind in self._kinds)
        kind = refusal if callers < CALLERS else anybody
        return kind if kind in self._kinds or len(self._kinds) < KINDS else _OTHERS

    def _note(self, kind: Refusal, request_id: str | None, times: int) -> None:
        count = self._kinds.setdefault(kind, _Count())
        if count.times == 0:
            count.request_id = request_id
        count.times += times

    async def _write(self, engine: AsyncEngine, counts: dict[Refusal, _Count]) -> None:
        if not counts:
            return
        entries = [_entry(kind, count) for kind, count in counts.items()]
        taken = [(kind, count.request_id, count.times) for kind, count in counts.items()]
        for count in counts.values():
            count.times, count.entered = 0, True
        try:
            async with engine.begin() as db:
                await db.execute(insert(AuditEntry), entries)
        except BaseException as error:
            for kind, request_id, times in taken:
                kept = self._kind_of(kind)
                self._note(kept, request_id, times)
                self._kinds[kept].request_id, self._kinds[kept].entered = request_id, False
            if not isinstance(error, Exception):
                raise  # this process ends: what is left is written once more
            # Whatever it was, the next writing is tried.
            log.warning("refusals_unwritten", error=type(error).__name__, kinds=len(entries))


REFUSALS = Service[Refusals]("refusals")


def _entry(kind: Refusal, count: _Count) -> dict[str, Any]:
    return {
        "user_id": kind.user_id,
        "address": kind.network,
        "request_id": count.request_id,
        "action": "request.refused",
        "subject_type": "request",
        "after": {"operation": kind.operation, "reason": kind.reason, "times": count.times},
    }
