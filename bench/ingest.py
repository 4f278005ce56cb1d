"""`ingest` and `ingest_sustained`: point events a second over HTTP, beside a COPY into the same ledger."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from uuid import uuid4

import asyncpg

from app.core.calendar import today
from bench import load
from bench.events import BATCH, batches
from bench.rows import Row
from bench.service import Measured

SENDERS = 4
BODIES = 40
BACKLOG = 100
"""How many batches may wait for the rollup while `ingest_sustained` goes on sending."""
BURST = 8
COPIED = 60_000
LONGEST_COPY = 5.0  # seconds; what is rolled back has to be vacuumed away before the next round
PROCESSES = ("serve", "postgres", "worker")


@dataclass(frozen=True, slots=True)
class Round:
    """Rows a second, and the processor time that each process spent on a batch of 1,000 rows."""

    per_second: float
    cpu_ms: tuple[float, ...]


def ingest(measured: Measured) -> list[Row]:
    """Batches of 1,000 new events from four connections while the worker rolls up, each round beside a COPY of rows
    like them into the same table (in transactions that are rolled back)."""
    return _beside_copy(measured, "ingest", 0.25, _full_speed)


def ingest_sustained(measured: Measured) -> list[Row]:
    """The same, but it waits whenever `BACKLOG` batches wait for the rollup: a rate that can go on for ever."""
    return _beside_copy(measured, "ingest_sustained", 0.2, _no_faster_than_folded)


Send = Callable[[Measured, Callable[[load.Until], load.Load], float], int]


def _beside_copy(measured: Measured, name: str, goal: float, send: Send) -> list[Row]:
    seconds = 20.0 if measured.scale.divisor == 1 else 2.0
    headers = measured.sign_in_service("point-events:write")
    made = batches(measured, "article")
    bodies = [next(made) for _ in range(BODIES)]
    found = re.search(rb'"event_id": "([0-9a-f]+)-', bodies[0])
    assert found is not None
    run = found[1]

    def post(until: load.Until) -> load.Load:
        url = f"{measured.ours}/v1/point-events"
        return load.post(url, headers, bodies, run, connections=SENDERS, until=until)

    ours, copied = [], []
    with measured.worker():
        post(load.Until(requests=BURST))  # the first of each connection prepares its statements
        for _ in range(measured.scale.rounds):
            asyncio.run(measured.drained())
            ours.append(_timed(measured, PROCESSES, lambda: send(measured, post, seconds)))
            asyncio.run(measured.drained())
            copied.append(asyncio.run(_copy(measured, min(seconds, LONGEST_COPY))))
    row = Row.of(
        name,
        [one.per_second for one in ours],
        [other.per_second for other in copied],
        goal,
        note=_processor_time(ours, copied),
    )
    return [row]


def _processor_time(ours: list[Round], copied: list[Round]) -> str:
    spent = [median(times) for times in zip(*(one.cpu_ms for one in ours), strict=True)]
    ratio = median(sum(other.cpu_ms) / sum(one.cpu_ms) for one, other in zip(ours, copied, strict=True))
    of_each = " + ".join(f"{ms:.1f}" for ms in spent)
    copy = median(sum(other.cpu_ms) for other in copied)
    return f"events/s; ms of CPU a batch: API + PostgreSQL + worker {of_each}, COPY {copy:.1f}: {ratio:.3f}"


def _timed(measured: Measured, processes: tuple[str, ...], send: Callable[[], int]) -> Round:
    """A round of `send`, which returns how many rows it wrote."""
    before = [measured.cpu_seconds(name) for name in processes]
    began = time.perf_counter()
    rows = send()
    took = time.perf_counter() - began
    used = [measured.cpu_seconds(name) - start for name, start in zip(processes, before, strict=True)]
    return Round(rows / took, tuple(seconds * 1000 * BATCH / rows for seconds in used))


def _full_speed(_: Measured, post: Callable[[load.Until], load.Load], seconds: float) -> int:
    return post(load.Until(seconds=seconds)).answered * BATCH


def _no_faster_than_folded(measured: Measured, post: Callable[[load.Until], load.Load], seconds: float) -> int:
    """Ends with nothing left to roll up, as it began: every event that is counted here was rolled up in this time."""
    sent = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if int(str(measured.sql("SELECT count(*) FROM point_facts"))) < BACKLOG:
            sent += post(load.Until(requests=BURST)).answered
        else:
            time.sleep(0.05)
    asyncio.run(measured.drained(every=0.05))
    return sent * BATCH


async def _copy(measured: Measured, seconds: float) -> Round:
    """Binary COPY into the ledger, again and again; what it wrote is vacuumed away."""
    connection = await asyncpg.connect(measured.superuser_url)
    try:
        await connection.execute("SELECT make_partition('point_events', $1, $2)", today(), today() + timedelta(days=1))
        pieces: list[bytes] = []

        async def collect(piece: bytes) -> None:
            pieces.append(piece)

        await connection.copy_from_query(
            "SELECT bench.id(1, 1 + n % 10000), $1::date, 'bench', 'copy-' || $2::text || '-' || n, 1 + n % 9, 'copy', "
            "now() FROM generate_series(1, $3::int) AS n",
            today(),
            uuid4().hex[:12],
            COPIED,
            output=collect,
            format="binary",
        )
        columns = ("user_id", "day", "source", "event_id", "points", "kind", "occurred_at")

        async def source() -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

        used, took, rows = -measured.cpu_seconds("postgres"), 0.0, 0
        while took < seconds:
            done = connection.transaction()
            await done.start()
            began = time.perf_counter()
            await connection.copy_to_table("point_events", source=source(), columns=columns, format="binary")
            took += time.perf_counter() - began
            rows += COPIED
            await done.rollback()
        used += measured.cpu_seconds("postgres")
        await connection.execute("VACUUM point_events")
        return Round(rows / took, (used * 1000 * BATCH / rows,))
    finally:
        await connection.close()
