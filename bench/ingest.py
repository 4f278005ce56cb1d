"""`ingest` and `ingest_sustained`: point events a second over HTTP, beside a COPY into the same ledger."""

import asyncio
import re
import time
from collections.abc import Callable, Coroutine

import asyncpg

from bench import ledger, load
from bench.events import BATCH, batches
from bench.rows import Row
from bench.service import Measured
from bench.taken import Round

SENDERS = 4
BODIES = 40
BACKLOG = 100
"""How many batches may wait for the rollup while `ingest_sustained` goes on sending."""
WAITING = "SELECT count(*) FROM point_deltas"
BURST = 8
FEWEST = 40  # batches of a round, on a machine that is busy with other things
COPIED = 60_000
LONGEST_COPY = 5.0  # seconds; what is rolled back has to be vacuumed away before the next round
PROCESSES = ("serve", "postgres", "worker")


def ingest(measured: Measured) -> list[Row]:
    """Batches of 1,000 new events from four connections while the worker rolls up, each round beside a COPY of rows
    like them into the same table (in transactions that are rolled back)."""
    return _beside_copy(measured, "ingest", 0.25, _full_speed)


def ingest_sustained(measured: Measured) -> list[Row]:
    """The same, but it waits whenever `BACKLOG` batches wait for the rollup, and a round ends when all are folded: the
    rate at which the backlog does not grow."""
    return _beside_copy(measured, "ingest_sustained", 0.2, _no_faster_than_folded)


Post = Callable[[load.Until], load.Load]
Send = Callable[[Measured, Post, float], Coroutine[None, None, int]]


def _beside_copy(measured: Measured, name: str, goal: float, send: Send) -> list[Row]:
    full = measured.scale.divisor == 1
    seconds, rounds = (20.0, measured.scale.rounds) if full else (1.0, 2)
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
    post(load.Until(least=BURST, most=BURST))  # the first of each connection prepares its statements
    for _ in range(rounds):
        asyncio.run(measured.drained(every=0.1))
        with measured.taken(*PROCESSES) as taken:
            sent = asyncio.run(send(measured, post, seconds))
        ours.append(taken.rate(sent * BATCH, of=BATCH))
        asyncio.run(measured.drained(every=0.1))
        copied.append(asyncio.run(_copied(measured, min(seconds, LONGEST_COPY))))
    return [Row.of(name, ours, copied, goal, note="events/s; / binary COPY into the ledger")]


async def _full_speed(_: Measured, post: Post, seconds: float) -> int:
    return post(load.Until(seconds, FEWEST)).answered


async def _no_faster_than_folded(measured: Measured, post: Post, seconds: float) -> int:
    """Ends with nothing left to fold, as it began: every batch that is counted here was folded in this time."""
    sent = 0
    until = time.monotonic() + seconds
    connection = await asyncpg.connect(measured.superuser_url)
    try:
        while time.monotonic() < until or sent < FEWEST:
            if await connection.fetchval(WAITING) < BACKLOG:
                sent += post(load.Until(least=BURST, most=BURST)).answered
            else:
                await asyncio.sleep(0.05)
        while await connection.fetchval(WAITING):
            await asyncio.sleep(0.05)
    finally:
        await connection.close()
    return sent


async def _copied(measured: Measured, seconds: float) -> Round:
    connection = await asyncpg.connect(measured.superuser_url)
    try:
        pieces = await ledger.made_up(connection, COPIED)
        taken, times = await ledger.copy(measured, connection, pieces, seconds=seconds)
        return taken.rate(times * COPIED, of=BATCH)
    finally:
        await connection.close()
