"""Refused requests (401, 403, 404, 429): each is counted and logged, and the audit has a bounded number of entries.

- The metric `refusals_total{route,reason}` counts every refusal by a route. The log line of the request has the reason.
- The audit table is append-only, so unauthenticated requests must not be able to fill it. A process adds one entry soon
  after the first refusal of a kind in an hour, and at the end of the hour one entry with the number of the others. A
  kind is an operation, a reason and a caller (user and network). For one operation and reason the process distinguishes
  at most `MAX_CALLERS` callers an hour, and at most `MAX_KINDS` kinds in all. It counts further refusals without their
  caller, and beyond that without their operation. So it adds at most 2 * (MAX_KINDS + 1) entries an hour, and the sum
  of the entries contains every refusal.
- If a refusal has a further meaning (a wrong number, a copied refresh token, a challenge used up), its operation also
  records an entry of its own.

A process that is killed loses the counts since its last entry. A process that stops writes them first.
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

WRITE_INTERVAL = 5.0
"""Seconds between two writes: after this time the first refusal of a kind is in the audit."""
COUNT_INTERVAL = 3600.0
"""Seconds in which a kind has at most two entries."""
MAX_KINDS = 100
MAX_CALLERS = 5


@dataclass(frozen=True, slots=True)
class Refusal:
    """A kind of refusal: the route (`GET /v1/me`), the reason (the problem's slug or OAuth's error), the caller."""

    operation: str
    reason: str
    user_id: UUID | None = None
    network: str | None = None


class RefusalMiddleware:
    """ASGI middleware that counts the refusals of the app that it wraps."""

    def __init__(self, app: ASGIApp, refusals: "Refusals") -> None:
        self._app = app
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        finally:
            state = get_request_state(scope)
            reason = state.refusal
            # An unknown address and a static file have no route. They are not counted: no permission is missing.
            route = scope.get("route")
            if reason is not None and route is not None:
                operation = f"{scope['method']} {route.path}"
                client = scope.get("client")
                address = parse_address(client[0]) if client else None
                network = None if address is None else get_network(address)
                self._refusals.count(Refusal(operation, reason, state.user_id, network), state.request_id)


@dataclass(slots=True)
class _Count:
    """The refusals of one kind since the last audit entry of this kind."""

    times: int = 0
    """The number of refusals."""
    request_id: str | None = None
    """The id of the first refused request."""
    has_entry: bool = False
    """Whether an entry of this kind was written in the present interval (COUNT_INTERVAL)."""


_OTHERS = Refusal("other", "other")

REFUSALS_TOTAL = Counter("refusals_total", "Requests refused with 401, 403, 404 or 429", "route", "reason")


class Refusals:
    """The refusals of this process. `total` is the metric; the methods write the audit entries."""

    def __init__(self) -> None:
        self.total = REFUSALS_TOTAL
        self._kinds: dict[Refusal, _Count] = {}

    def count(self, refusal: Refusal, request_id: str | None) -> None:
        """Count one refused request."""
        self.total.add(refusal.operation, refusal.reason)
        self._add(self._get_kind(refusal), request_id, 1)

    async def write(self, engine: AsyncEngine) -> None:
        """Add the entries of the kinds that have no entry in the present interval. If the database is not available,
        their counts remain."""
        await self._write(engine, {kind: count for kind, count in self._kinds.items() if not count.has_entry})

    async def end_interval(self, engine: AsyncEngine) -> None:
        """Add entries for all counts that are not in the audit yet, and begin a new interval."""
        ended, self._kinds = self._kinds, {}
        await self._write(engine, {kind: count for kind, count in ended.items() if count.times})

    @asynccontextmanager
    async def write_periodically(self, engine: AsyncEngine) -> AsyncIterator[None]:
        """Write the entries in the background until this context ends, and the last ones at its end."""

        async def run() -> None:
            ends_at = time.monotonic() + COUNT_INTERVAL
            while True:
                await asyncio.sleep(WRITE_INTERVAL)
                if time.monotonic() < ends_at:
                    await self.write(engine)
                else:
                    ends_at = time.monotonic() + COUNT_INTERVAL
                    await self.end_interval(engine)

        writing = asyncio.create_task(run())
        try:
            yield
        finally:
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing
            await self.end_interval(engine)

    def _get_kind(self, refusal: Refusal) -> Refusal:
        """Return the kind under which the refusal is counted, within the limits of callers and kinds."""
        if refusal in self._kinds:
            return refusal
        without_caller = Refusal(refusal.operation, refusal.reason)
        callers = sum(kind.operation == refusal.operation and kind.reason == refusal.reason for kind in self._kinds)
        kind = refusal if callers < MAX_CALLERS else without_caller
        return kind if kind in self._kinds or len(self._kinds) < MAX_KINDS else _OTHERS

    def _add(self, kind: Refusal, request_id: str | None, times: int) -> None:
        count = self._kinds.setdefault(kind, _Count())
        if count.times == 0:
            count.request_id = request_id
        count.times += times

    async def _write(self, engine: AsyncEngine, counts: dict[Refusal, _Count]) -> None:
        if not counts:
            return
        entries = [_build_entry(kind, count) for kind, count in counts.items()]
        written = [(kind, count.request_id, count.times) for kind, count in counts.items()]
        for count in counts.values():
            count.times, count.has_entry = 0, True
        try:
            async with engine.begin() as db:
                await db.execute(insert(AuditEntry), entries)
        except BaseException as error:
            for kind, request_id, times in written:
                restored = self._get_kind(kind)
                self._add(restored, request_id, times)
                self._kinds[restored].request_id, self._kinds[restored].has_entry = request_id, False
            if not isinstance(error, Exception):
                raise  # the process ends, and `write_periodically` writes the remaining counts once more
            # After any other error, the next write tries again.
            log.warning("refusals_unwritten", error=type(error).__name__, kinds=len(entries))


REFUSALS = Service[Refusals]("refusals")


def _build_entry(kind: Refusal, count: _Count) -> dict[str, Any]:
    return {
        "user_id": kind.user_id,
        "address": kind.network,
        "request_id": count.request_id,
        "action": "request.refused",
        "subject_type": "request",
        "after": {"operation": kind.operation, "reason": kind.reason, "times": count.times},
    }
