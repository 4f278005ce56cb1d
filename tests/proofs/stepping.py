"""Crossing requests, statement by statement, in every order there is.

Each request is held before it starts, before each of its locks and writes, and before its commit. A schedule says
whose turn it is at each point; one that waits for another's lock has no turn. Schedules are walked depth first, each
on fresh orgs: what was possible at a point and not yet tried is tried next.
"""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util import await_only

Request = Callable[[], Awaitable[Any]]
_running: ContextVar["_Session | None"] = ContextVar("stepped", default=None)
# What orders two transactions: locks and writes. Entries of the audit and its events never cross.
_STEPS = re.compile(r"FOR (NO KEY )?UPDATE|pg_advisory_xact_lock|^\s*(INSERT|UPDATE|DELETE|WITH)", re.IGNORECASE)
_APART = re.compile(r"outgoing_events|audit_entries|idempotency_keys")


class _Session:
    """One request, which goes on only when told to."""

    def __init__(self, request: Request) -> None:
        self.pid: int | None = None
        self.waiting = False
        self._go = asyncio.Event()
        self._moved = asyncio.Event()
        self.task = asyncio.ensure_future(self._run(request))

    async def _run(self, request: Request) -> Any:
        _running.set(self)
        try:
            await self.gate()
            return await request()
        finally:
            self.waiting = False
            self._moved.set()

    async def gate(self, pid: int | None = None) -> None:
        self.pid, self.waiting = pid or self.pid, True
        self._moved.set()
        await self._go.wait()
        self._go.clear()

    async def step(self) -> None:
        self.waiting = False
        self._moved.clear()
        self._go.set()

    async def settle(self, observer: AsyncConnection) -> None:
        """Until it waits for its next turn, has ended, or stands behind another's lock."""
        blocked = text("SELECT cardinality(pg_blocking_pids(:pid)) > 0")
        while not self.waiting and not self.task.done():
            try:
                async with asyncio.timeout(0.002):
                    await self._moved.wait()
            except TimeoutError:
                if self.pid is not None and await observer.scalar(blocked, {"pid": self.pid}):
                    return


@asynccontextmanager
async def stepped(engine: AsyncEngine) -> AsyncIterator[None]:
    """While it lasts, requests that run under `interleave` are held at their steps."""

    def hold(connection: Any) -> None:
        session = _running.get()
        if session is not None:
            await_only(session.gate(connection.connection.driver_connection.get_server_pid()))

    def before(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if _STEPS.search(statement) and not _APART.search(statement):
            hold(connection)

    event.listen(engine.sync_engine, "before_cursor_execute", before)
    event.listen(engine.sync_engine, "commit", hold)
    try:
        yield
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", before)
        event.remove(engine.sync_engine, "commit", hold)


async def _play(
    observer: AsyncConnection, requests: Sequence[Request], choose: Callable[[int, list[int]], int]
) -> tuple[list[Any], list[tuple[int, list[int]]]]:
    """Run the requests, asking at each point who goes on; gives their results and the choices that there were."""
    sessions = [_Session(request) for request in requests]
    trace: list[tuple[int, list[int]]] = []
    while True:
        for session in sessions:
            await session.settle(observer)
        able = [number for number, session in enumerate(sessions) if session.waiting]
        if not able:
            if all(session.task.done() for session in sessions):
                break
            continue
        chosen = choose(len(trace), able)
        trace.append((chosen, able))
        await sessions[chosen].step()
    return [await session.task for session in sessions], trace


async def interleave(
    engine: AsyncEngine,
    scene: Callable[[], Awaitable[tuple[Sequence[Request], Callable[[list[Any]], Awaitable[None]]]]],
    *,
    sample: int | None,
) -> int:
    """Play the scene's requests in every order (or in `sample` random ones), each time on a fresh scene, and let the
    scene check what came of it; gives how many orders were played."""
    played = 0
    prefix: list[int] | None = []
    async with stepped(engine), engine.connect() as observer:
        await observer.execution_options(isolation_level="AUTOCOMMIT")
        while prefix is not None if sample is None else played < sample:
            requests, check = await scene()
            if sample is None:
                given = list(prefix or [])
                results, trace = await _play(
                    observer,
                    requests,
                    lambda point, able: given[point] if point < len(given) else able[0],  # noqa: B023
                )
                prefix = _next(trace)
            else:
                dice = random.Random(played)
                results, trace = await _play(observer, requests, lambda _, able: dice.choice(able))  # noqa: B023
            await check(results)
            played += 1
    return played


def _next(trace: list[tuple[int, list[int]]]) -> list[int] | None:
    """The first choices of the next order, depth first; None where all have been played."""
    for point in range(len(trace) - 1, -1, -1):
        chosen, able = trace[point]
        later = [number for number in able if number > chosen]
        if later:
            return [choice for choice, _ in trace[:point]] + [later[0]]
    return None
