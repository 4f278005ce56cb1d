"""What was refused: kept in the audit, though a refused call changes nothing and most often is nobody's.

A guesser asks thousands of times, so an entry a call would let anybody fill an append-only table. Each process counts
its refusals by who asked, from which network, for what and why, and every few seconds writes what it counted: one
entry each, in one statement. What a process has counted and not yet written is lost with it if it is killed.

Where a refusal says more than that (a wrong number, a refresh token that was copied, a challenge used up), its
operation leaves an entry of its own besides.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.networks import address_of_host, network_of
from app.core.request_state import request_state
from app.core.services import Service
from app.schema.audit import AuditEntry

log = structlog.get_logger()

EVERY = 5.0
KEPT = 500
"""How many entries one writing has at most; what comes beyond that is counted in one without address and user."""


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
            state = request_state(scope)
            reason = state.refusal
            route = scope.get("route")  # none where the address is nobody's, or a file's: no right was wanting
            if reason is not None and route is not None:
                operation = f"{scope['method']} {route.path}"
                client = scope.get("client")
                address = address_of_host(client[0]) if client else None
                network = None if address is None else network_of(address)
                self._refusals.count(Refusal(operation, reason, state.user_id, network), state.request_id)


class Refusals:
    """What was counted and is not yet written."""

    def __init__(self) -> None:
        self._counted: dict[Refusal, tuple[int, str | None]] = {}

    def count(self, refusal: Refusal, request_id: str | None, times: int = 1) -> None:
        if refusal not in self._counted and len(self._counted) >= KEPT:
            refusal = Refusal("any", "too-many-to-tell")
        before, first = self._counted.get(refusal, (0, request_id))
        self._counted[refusal] = before + times, first

    async def write(self, engine: AsyncEngine) -> None:
        """Write what was counted; where the database is away, it stays counted."""
        counted, self._counted = self._counted, {}
        if not counted:
            return
        try:
            async with engine.begin() as db:
                await db.execute(insert(AuditEntry), [_entry(*item) for item in counted.items()])
        except BaseException as error:
            for refusal, (times, request_id) in counted.items():
                self.count(refusal, request_id, times)
            if not isinstance(error, Exception):
                raise  # this process ends: what is left is written once more
            # Whatever it was, the next writing is tried.
            log.warning("refusals_unwritten", error=type(error).__name__, kinds=len(counted))

    @asynccontextmanager
    async def written(self, engine: AsyncEngine) -> AsyncIterator[None]:
        """While this is entered, what is counted is written every few seconds, and what is left at its end."""

        async def run() -> None:
            while True:
                await asyncio.sleep(EVERY)
                await self.write(engine)

        writing = asyncio.create_task(run())
        try:
            yield
        finally:
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing
            await self.write(engine)


REFUSALS = Service[Refusals]("refusals")


def _entry(refusal: Refusal, counted: tuple[int, str | None]) -> dict[str, Any]:
    times, request_id = counted
    return {
        "user_id": refusal.user_id,
        "address": refusal.network,
        "request_id": request_id,
        "action": "request.refused",
        "subject_type": "request",
        "after": {"operation": refusal.operation, "reason": refusal.reason, "times": times},
    }
