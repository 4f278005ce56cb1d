"""Run concurrent requests step by step, in every possible order.

A request pauses before it starts, before each of its locks and writes, and before its commit. A schedule chooses the
request that goes on at each point. A request that waits for the lock of another cannot be chosen.

The orders are searched depth first, each on the restored scene. Two orders that differ only in independent steps have
the same result, so only one of them is played (dynamic partial-order reduction, Flanagan and Godefroid 2005). Under
READ COMMITTED two steps of different requests are dependent if one of them ends its transaction (its writes become
visible and its locks are released), or if one is blocked by the lock that the other took. Nothing else of an open
transaction is visible to another.
"""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util import await_only

Request = Callable[[], Awaitable[Any]]
_running: ContextVar["_Session | None"] = ContextVar("session", default=None)
# Locks and writes are steps. Inserts of audit entries and events are not, because they never conflict.
_STEPS = re.compile(
    r"FOR (NO KEY UPDATE|UPDATE|KEY SHARE)|pg_advisory_xact_lock|\block_org_shared\(|^\s*(INSERT|UPDATE|DELETE|WITH)",
    re.IGNORECASE,
)
_INDEPENDENT = re.compile(r"outgoing_events|audit_entries|idempotency_keys")
_START, _COMMIT = "start", "commit"


@dataclass(frozen=True, slots=True)
class Step:
    """A step that was played: the number of its request, its position in that request, its statement, whether it ended
    a transaction, and the requests whose locks blocked it at first."""

    request: int
    position: int
    statement: str
    ends: bool
    blocked_by: frozenset[int]

    @property
    def key(self) -> tuple[int, int, str]:
        return self.request, self.position, self.statement


class _Session:
    """One request, which pauses at each step until `step` is called."""

    def __init__(self, request: Request) -> None:
        self.pid: int | None = None
        self.waiting = False
        self.next = _START
        self._go = asyncio.Event()
        self._moved = asyncio.Event()
        self.task = asyncio.ensure_future(self._run(request))

    async def _run(self, request: Request) -> Any:
        _running.set(self)
        try:
            await self.wait_for_turn(_START)
            return await request()
        finally:
            self.waiting = False
            self._moved.set()

    async def wait_for_turn(self, statement: str, pid: int | None = None) -> None:
        self.pid, self.waiting, self.next = pid or self.pid, True, statement
        self._moved.set()
        await self._go.wait()
        self._go.clear()

    def step(self) -> None:
        self.waiting = False
        self._moved.clear()
        self._go.set()

    @property
    def settled(self) -> bool:
        return self.waiting or self.task.done()

    async def settle(self, observer: AsyncConnection, others: Sequence["_Session"]) -> frozenset[int]:
        """Wait until the request pauses, ends, or is blocked by locks. Return the numbers of those that block it."""
        blocked = text("SELECT pg_blocking_pids(:pid)")
        while not self.settled:
            try:
                async with asyncio.timeout(0.002):
                    await self._moved.wait()
            except TimeoutError:
                if self.pid is not None:
                    pids = await observer.scalar(blocked, {"pid": self.pid})
                    # Ignore locks of other processes, such as a vacuum: they are released without our help.
                    blocked_by = [n for n, other in enumerate(others) if other.pid in pids and not other.task.done()]
                    if blocked_by:
                        return frozenset(blocked_by)
        return frozenset()


@asynccontextmanager
async def pause_at_steps(engine: AsyncEngine) -> AsyncIterator[None]:
    """Make the requests of `interleave` pause at their steps, inside the context."""

    def pause(connection: Any, statement: str = _COMMIT) -> None:
        session = _running.get()
        if session is not None:
            await_only(session.wait_for_turn(statement, connection.connection.driver_connection.get_server_pid()))

    def pause_before(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if (session := _running.get()) is not None:  # a statement that is no step can wait for a lock too
            session.pid = connection.connection.driver_connection.get_server_pid()
        if _STEPS.search(statement) and not _INDEPENDENT.search(statement):
            pause(connection, statement)

    event.listen(engine.sync_engine, "before_cursor_execute", pause_before)
    event.listen(engine.sync_engine, "commit", pause)
    try:
        yield
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", pause_before)
        event.remove(engine.sync_engine, "commit", pause)


async def _play_order(
    observer: AsyncConnection, requests: Sequence[Request], choose: Callable[[Sequence[Step], list[int]], int]
) -> tuple[list[Any], list[Step]]:
    """Run the requests; `choose` says at each point which one goes on. Return their results and the steps in order."""
    sessions = [_Session(request) for request in requests]
    steps: list[Step] = []
    for session in sessions:
        await session.settle(observer, sessions)
    while not all(session.task.done() for session in sessions):
        ready = [number for number, session in enumerate(sessions) if session.waiting]
        if not ready:  # a deadlock, which PostgreSQL ends
            for session in sessions:
                await session.settle(observer, sessions)
            continue
        chosen = choose(steps, ready)
        session = sessions[chosen]
        statement = session.next
        session.step()
        blocked_by = await session.settle(observer, sessions)
        ends = statement == _COMMIT or session.task.done()
        position = sum(step.request == chosen for step in steps)
        steps.append(Step(chosen, position, statement, ends, blocked_by))
        ended = 0
        while ends and ended < (ended := sum(other.task.done() for other in sessions)):
            for other in sessions:  # locks are released only now, so that a blocked request may end
                await other.settle(observer, sessions)
    return [await session.task for session in sessions], steps


@dataclass(slots=True)
class _Point:
    """A point of the search: the requests that can go on (`ready`), the one chosen in the present order, those chosen
    in earlier orders (`played`), and those to be chosen in later orders (`wanted`).

    A sleeping request has already gone on from this point or an earlier one, and the steps since then are independent
    of that step. So it is not chosen again.
    """

    ready: list[int]
    chosen: int
    sleeping: dict[int, Step] = field(default_factory=dict)
    played: dict[int, Step] = field(default_factory=dict)
    wanted: set[int] = field(default_factory=set)


class _Orders:
    """The depth-first search of all orders. With `reduced`, of orders with the same result only one is played."""

    def __init__(self, *, reduced: bool) -> None:
        self._reduced = reduced
        self._points: list[_Point] = []
        # Pairs of steps of which one blocked the other.
        self._dependent_pairs: set[frozenset[tuple[int, int, str]]] = set()
        # The step, the request that blocked it, and the steps of that request so far.
        self._blocked: set[tuple[Any, ...]] = set()

    def choose(self, steps: Sequence[Step], ready: list[int]) -> int:
        point = len(steps)
        if point == len(self._points):
            sleeping = self._find_sleeping(steps) if self._reduced and steps else {}
            chosen = next((request for request in ready if request not in sleeping), ready[0])
            self._points.append(_Point(ready, chosen, sleeping, wanted=set() if self._reduced else set(ready)))
        assert self._points[point].ready == ready, "the same order had another result"
        return self._points[point].chosen

    def next(self, steps: Sequence[Step]) -> bool:
        """Choose the order after the one that was played. Return False if there is none."""
        if self._reduced:
            self._add_reversed_orders(steps)
        while self._points:
            last = self._points[-1]
            last.played[last.chosen] = steps[len(self._points) - 1]
            if left := last.wanted - last.played.keys() - last.sleeping.keys():
                last.chosen = min(left)
                return True
            self._points.pop()
        return False

    def _find_sleeping(self, steps: Sequence[Step]) -> dict[int, Step]:
        before, last = self._points[-1], steps[-1]
        could = before.sleeping | before.played
        return {
            request: step
            for request, step in could.items()
            if request != last.request
            and not (step.ends or last.ends or (step.blocked_by and last.blocked_by) or request in last.blocked_by)
            and frozenset((step.key, last.key)) not in self._dependent_pairs
        }

    def _add_reversed_orders(self, steps: Sequence[Step]) -> None:
        """For each two dependent steps that no step between them orders: mark the request of the later one as wanted at
        the point of the earlier one."""
        before = [0] * len(steps)  # bits: the steps that precede this one in every equivalent order
        for j, later in enumerate(steps):
            lock_steps = {request: self._list_lock_steps(steps[:j], later, request) for request in later.blocked_by}
            ordered = 0
            for i in range(j - 1, -1, -1):
                earlier = steps[i]
                same_request = earlier.request == later.request
                if not (same_request or earlier.ends or later.ends or (earlier.blocked_by and later.blocked_by)):
                    if earlier.position not in lock_steps.get(earlier.request, ()):
                        continue
                    self._dependent_pairs.add(frozenset((earlier.key, later.key)))
                if not same_request and not ordered >> i & 1:
                    ready = self._points[i].ready
                    self._points[i].wanted |= {later.request} if later.request in ready else set(ready)
                ordered |= before[i] | 1 << i
            before[j] = ordered

    def _list_lock_steps(self, steps: Sequence[Step], later: Step, request: int) -> range:
        """Return the positions of the steps by which the request may have taken the lock that blocks this step: those
        up to the first position at which it was seen to block."""
        ended = tuple(step.request for step in steps if step.ends)
        theirs = [step.statement for step in steps if step.request == request]
        self._blocked.add((ended, later.key, request, *theirs))
        return range(
            next(n for n in range(len(theirs) + 1) if (ended, later.key, request, *theirs[:n]) in self._blocked)
        )


async def interleave(
    engine: AsyncEngine,
    scene: Callable[[], Awaitable[tuple[Sequence[Request], Callable[[list[Any]], Awaitable[None]]]]],
    *,
    sample: int | None = None,
    reduced: bool = True,
) -> int:
    """Play the requests of the scene in every order, each time on the restored scene, and let the scene check the
    results. Return the number of orders played.

    With `reduced`, of orders with the same result only one is played. With `sample`, that many random orders
    are played.
    """
    played = 0
    orders = _Orders(reduced=reduced)
    async with pause_at_steps(engine), engine.connect() as observer:
        await observer.execution_options(isolation_level="AUTOCOMMIT")
        while sample is None or played < sample:
            requests, check = await scene()
            dice = random.Random(played)
            choose = orders.choose if sample is None else lambda _, ready: dice.choice(ready)  # noqa: B023 — it is called in this round only
            results, steps = await _play_order(observer, requests, choose)
            await check(results)
            played += 1
            if sample is None and not orders.next(steps):
                break
    return played
