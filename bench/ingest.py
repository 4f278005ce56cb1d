"""`ingest` and `ingest_sustained`: point events per second over HTTP, compared with a COPY into the same ledger."""

import asyncio
import re
import time
from collections.abc import Callable, Coroutine

import asyncpg

from bench import ledger, load
from bench.cost import Round
from bench.events import BATCH, generate_batches
from bench.rows import Row
from bench.service import Measured

SENDERS = 4
BODIES = 40
BACKLOG = 100
"""The limit of waiting batches: above it `ingest_sustained` stops sending."""
WAITING = "SELECT count(*) FROM point_deltas"
BURST = 8
MIN_BATCHES = 40  # minimum of batches per round, also on a busy machine
COPIED = 60_000
MAX_COPY_SECONDS = 5.0  # limited, because rolled back rows must be vacuumed before the next round
PROCESSES = ("serve", "postgres", "worker")


def ingest(measured: Measured) -> list[Row]:
    """Measure the row `ingest`: batches of 1,000 new events on four connections while the worker rolls up, compared
    with a COPY of similar rows into the same table, in transactions that are rolled back."""
    return _compare_with_copy(measured, "ingest", 0.25, _send_at_full_speed)


def ingest_sustained(measured: Measured) -> list[Row]:
    """Measure the row `ingest_sustained`: the rate of events at which the backlog does not grow. Sending pauses while
    `BACKLOG` batches wait, and a round ends when all batches are rolled up."""
    return _compare_with_copy(measured, "ingest_sustained", 0.2, _send_at_rollup_speed)


Post = Callable[[load.Until], load.Load]
Send = Callable[[Measured, Post, float], Coroutine[None, None, int]]


def _compare_with_copy(measured: Measured, name: str, goal: float, send: Send) -> list[Row]:
    full = measured.scale.divisor == 1
    seconds, rounds = (20.0, measured.scale.rounds) if full else (1.0, 2)
    headers = measured.sign_in_service("point-events:write")
    generated = generate_batches(measured, "article")
    bodies = [next(generated) for _ in range(BODIES)]
    found = re.search(rb'"event_id": "([0-9a-f]+)-', bodies[0])
    assert found is not None
    run = found[1]

    def post(until: load.Until) -> load.Load:
        url = f"{measured.ours}/v1/point-events"
        return load.post(url, headers, bodies, run, connections=SENDERS, until=until)

    ours, copied = [], []
    post(load.Until(least=BURST, most=BURST))  # the first request of each connection prepares its statements
    for _ in range(rounds):
        asyncio.run(measured.wait_for_rollup(every=0.1))
        with measured.measure(*PROCESSES) as taken:
            sent = asyncio.run(send(measured, post, seconds))
        ours.append(taken.rate(sent * BATCH, of=BATCH))
        asyncio.run(measured.wait_for_rollup(every=0.1))
        copied.append(asyncio.run(_copy(measured, min(seconds, MAX_COPY_SECONDS))))
    return [Row.from_rounds(name, ours, copied, goal, note="events/s; / binary COPY into the ledger")]


async def _send_at_full_speed(_: Measured, post: Post, seconds: float) -> int:
    return post(load.Until(seconds, MIN_BATCHES)).answered


async def _send_at_rollup_speed(measured: Measured, post: Post, seconds: float) -> int:
    """Send batches at the speed of the rollup for at least `seconds`. Return the number of batches.

    No batch waits at the beginning or at the end, so every counted batch was rolled up.
    """
    sent = 0
    until = time.monotonic() + seconds
    connection = await asyncpg.connect(measured.superuser_url)
    try:
        while time.monotonic() < until or sent < MIN_BATCHES:
            if await connection.fetchval(WAITING) < BACKLOG:
                sent += post(load.Until(least=BURST, most=BURST)).answered
            else:
                await asyncio.sleep(0.05)
        while await connection.fetchval(WAITING):
            await asyncio.sleep(0.05)
    finally:
        await connection.close()
    return sent


async def _copy(measured: Measured, seconds: float) -> Round:
    connection = await asyncpg.connect(measured.superuser_url)
    try:
        pieces = await ledger.generate_rows(connection, COPIED)
        taken, times = await ledger.copy(measured, connection, pieces, seconds=seconds)
        return taken.rate(times * COPIED, of=BATCH)
    finally:
        await connection.close()
