"""Crossing requests, step by step, in every order there is.

Each request is held before it starts, before each of its locks and writes, and before its commit. A schedule says
whose turn it is at each point; one that waits for another's lock has no turn.

Orders are walked depth first, each on the same scene set back. Two orders that differ only in steps which do not
cross come to the same: of those one is played (dynamic partial-order reduction, Flanagan and Godefroid 2005). Under
READ COMMITTED a step crosses another's where one of them ends its transaction (what it wrote is seen, and its locks
are free, from then on), and where one stands behind the lock that the other took; nothing else of an open transaction
shows to another.
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
_running: ContextVar["_Session | None"] = ContextVar("stepped", default=None)
# What orders two transactions: locks and writes. Entries of the audit and its events never cross.
_STEPS = re.compile(
    r"FOR (NO KEY UPDATE|UPDATE|KEY SHARE)|pg_advisory_xact_lock|\block_org_shared\(|^\s*(INSERT|UPDATE|DELETE|WITH)",
    re.IGNORECASE,
)
_APART = re.compile(r"outgoing_events|audit_entries|idempotency_keys")
_START, _COMMIT = "start", "commit"


@dataclass(frozen=True, slots=True)
class Step:
    """One that was taken: by which request, its how many it was, what it was, whether a transaction ended with it, and
    behind which other requests' locks it stood at first."""

    who: int
    number: int
    statement: str
    ends: bool
    behind: frozenset[int]

    @property
    def key(self) -> tuple[int, int, str]:
        return self.who, self.number, self.statement


class _Session:
    """One request, which goes on only when told to."""

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
            await self.gate(_START)
            return await request()
        finally:
            self.waiting = False
            self._moved.set()

    async def gate(self, statement: str, pid: int | None = None) -> None:
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
        """Until it waits for its next turn, has ended, or stands behind others' locks: then these others' numbers."""
        blocked = text("SELECT pg_blocking_pids(:pid)")
        while not self.settled:
            try:
                async with asyncio.timeout(0.002):
                    await self._moved.wait()
            except TimeoutError:
                if self.pid is not None:
                    pids = await observer.scalar(blocked, {"pid": self.pid})
                    # Only others' locks stay: that of a vacuum, for instance, goes by itself.
                    behind = [n for n, other in enumerate(others) if other.pid in pids and not other.task.done()]
                    if behind:
                        return frozenset(behind)
        return frozenset()


@asynccontextmanager
async def stepped(engine: AsyncEngine) -> AsyncIterator[None]:
    """While it lasts, requests that run under `interleave` are held at their steps."""

    def hold(connection: Any, statement: str = _COMMIT) -> None:
        session = _running.get()
        if session is not None:
            await_only(session.gate(statement, connection.connection.driver_connection.get_server_pid()))

    def before(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if (session := _running.get()) is not None:  # it may wait for a lock in a statement that is no step
            session.pid = connection.connection.driver_connection.get_server_pid()
        if _STEPS.search(statement) and not _APART.search(statement):
            hold(connection, statement)

    event.listen(engine.sync_engine, "before_cursor_execute", before)
    event.listen(engine.sync_engine, "commit", hold)
    try:
        yield
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", before)
        event.remove(engine.sync_engine, "commit", hold)


async def _play(
    observer: AsyncConnection, requests: Sequence[Request], choose: Callable[[Sequence[Step], list[int]], int]
) -> tuple[list[Any], list[Step]]:
    """Run the requests, asking at each point who goes on; gives their results and the steps as they were taken."""
    sessions = [_Session(request) for request in requests]
    steps: list[Step] = []
    for session in sessions:
        await session.settle(observer, sessions)
    while not all(session.task.done() for session in sessions):
        able = [number for number, session in enumerate(sessions) if session.waiting]
        if not able:  # a deadlock, which PostgreSQL ends
            for session in sessions:
                await session.settle(observer, sessions)
            continue
        chosen = choose(steps, able)
        session = sessions[chosen]
        statement = session.next
        session.step()
        behind = await session.settle(observer, sessions)
        ends = statement == _COMMIT or session.task.done()
        number = sum(step.who == chosen for step in steps)
        steps.append(Step(chosen, number, statement, ends, behind))
        ended = 0
        while ends and ended < (ended := sum(other.task.done() for other in sessions)):
            for other in sessions:  # only then do locks come free; one that had waited may end by it
                await other.settle(observer, sessions)
    return [await session.task for session in sessions], steps


@dataclass(slots=True)
class _Point:
    """Where somebody is to go on: who can, who does in this order, who did in others, and who is to in another.

    Whoever sleeps has gone on from here or from before, and what was done since does not cross that step of theirs.
    """

    able: list[int]
    chosen: int
    sleeping: dict[int, Step] = field(default_factory=dict)
    played: dict[int, Step] = field(default_factory=dict)
    wanted: set[int] = field(default_factory=set)


class _Orders:
    """The walk through all orders, depth first: of those that come to the same one is played, where `reduced`."""

    def __init__(self, *, reduced: bool) -> None:
        self._reduced = reduced
        self._points: list[_Point] = []
        self._met: set[frozenset[tuple[int, int, str]]] = set()  # steps of which one stood behind the other
        self._held: set[tuple[Any, ...]] = set()  # which step stood behind whom when they had come how far

    def choose(self, steps: Sequence[Step], able: list[int]) -> int:
        point = len(steps)
        if point == len(self._points):
            sleeping = self._asleep(steps) if self._reduced and steps else {}
            chosen = next((who for who in able if who not in sleeping), able[0])
            self._points.append(_Point(able, chosen, sleeping, wanted=set() if self._reduced else set(able)))
        assert self._points[point].able == able, "the same order came to something else"
        return self._points[point].chosen

    def next(self, steps: Sequence[Step]) -> bool:
        """Having played one: whether there is another."""
        if self._reduced:
            self._want_the_other_way_round(steps)
        while self._points:
            last = self._points[-1]
            last.played[last.chosen] = steps[len(self._points) - 1]
            if left := last.wanted - last.played.keys() - last.sleeping.keys():
                last.chosen = min(left)
                return True
            self._points.pop()
        return False

    def _asleep(self, steps: Sequence[Step]) -> dict[int, Step]:
        before, last = self._points[-1], steps[-1]
        could = before.sleeping | before.played
        return {
            who: step
            for who, step in could.items()
            if who != last.who
            and not (step.ends or last.ends or (step.behind and last.behind) or who in last.behind)
            and frozenset((step.key, last.key)) not in self._met
        }

    def _want_the_other_way_round(self, steps: Sequence[Step]) -> None:
        """For each two steps that cross, with none between that orders them anyway: the later one's request is to go
        on where the earlier one's did."""
        before = [0] * len(steps)  # bits: the steps that come before this one in every order that comes to the same
        for j, later in enumerate(steps):
            takers = {who: self._takers(steps[:j], later, who) for who in later.behind}
            ordered = 0
            for i in range(j - 1, -1, -1):
                one = steps[i]
                mine = one.who == later.who
                if not (mine or one.ends or later.ends or (one.behind and later.behind)):
                    if one.number not in takers.get(one.who, ()):
                        continue
                    self._met.add(frozenset((one.key, later.key)))
                if not mine and not ordered >> i & 1:
                    able = self._points[i].able
                    self._points[i].wanted |= {later.who} if later.who in able else set(able)
                ordered |= before[i] | 1 << i
            before[j] = ordered

    def _takers(self, steps: Sequence[Step], later: Step, who: int) -> range:
        """By which of their steps they may have taken the lock behind which this one stands: those up to where it has
        been seen to stand there."""
        ended = tuple(step.who for step in steps if step.ends)
        theirs = [step.statement for step in steps if step.who == who]
        self._held.add((ended, later.key, who, *theirs))
        return range(next(n for n in range(len(theirs) + 1) if (ended, later.key, who, *theirs[:n]) in self._held))


async def interleave(
    engine: AsyncEngine,
    scene: Callable[[], Awaitable[tuple[Sequence[Request], Callable[[list[Any]], Awaitable[None]]]]],
    *,
    sample: int | None = None,
    reduced: bool = True,
) -> int:
    """Play the scene's requests in every order, each time on a fresh scene, and let the scene check what came of it;
    gives how many orders were played.

    Of orders that come to the same one is played, all of them where not `reduced`; with `sample`, so many random ones.
    """
    played = 0
    orders = _Orders(reduced=reduced)
    async with stepped(engine), engine.connect() as observer:
        await observer.execution_options(isolation_level="AUTOCOMMIT")
        while sample is None or played < sample:
            requests, check = await scene()
            dice = random.Random(played)
            choose = orders.choose if sample is None else lambda _, able: dice.choice(able)  # noqa: B023
            results, steps = await _play(observer, requests, choose)
            await check(results)
            played += 1
            if sample is None and not orders.next(steps):
                break
    return played
