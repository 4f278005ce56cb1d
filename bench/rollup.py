"""`fold_small`: the rollup's work for one batch of events, compared with a COPY of the same events into the ledger."""

import asyncio
from collections.abc import Iterator

import asyncpg
import httpx

from app.reports.rollup.cycle import run_cycle
from bench import ledger
from bench.cost import BENCH, Round
from bench.events import BATCH, generate_batches
from bench.rows import Row
from bench.service import Measured
from bench.world import roll_up_and_drop_days

COPIES = 20  # a single COPY is too short to be measured
EACH_ROUND = 2


def fold_small(measured: Measured) -> list[Row]:
    """Measure the row `fold_small`: the service receives one batch over HTTP while no worker runs, then one cycle rolls
    the batch up. Only the cycle is measured."""
    headers = measured.sign_in_service("point-events:write") | {"Content-Type": "application/json"}
    ours, reference = asyncio.run(_measure_rounds(measured, headers, generate_batches(measured, "fold")))
    note = f"ms a batch of {BATCH:,} events, one at a time; / COPY of it into the ledger"
    return [Row.from_rounds("fold_small", ours, reference, 30, at_most=True, note=note)]


async def _measure_rounds(
    measured: Measured, headers: dict[str, str], bodies: Iterator[bytes]
) -> tuple[list[Round], list[Round]]:
    ours, reference = [], []
    rollup = await asyncpg.connect(measured.url)
    copying = await asyncpg.connect(measured.superuser_url)
    api = httpx.AsyncClient(base_url=measured.ours, headers=headers, timeout=60)
    try:
        await roll_up_and_drop_days(rollup, measured.day)
        for number in range(1 + measured.scale.rounds * EACH_ROUND):
            body = next(bodies)
            (await api.post("/v1/point-events", content=body)).raise_for_status()
            with measured.measure("postgres", BENCH) as taken:
                assert await run_cycle(rollup)
            if number:  # the first round prepares the statements
                ours.append(taken.each(unit=1000))
                copied, times = await ledger.copy(
                    measured, copying, await ledger.encode_body(copying, body), times=COPIES
                )
                reference.append(copied.each(times, unit=1000))
    finally:
        await api.aclose()
        await rollup.close()
        await copying.close()
    return ours, reference
