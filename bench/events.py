"""Point events: the time until every superior's report includes them."""

import asyncio
import json
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from uuid import uuid4

import httpx

from bench.rows import Row
from bench.service import Measured
from bench.world import build_user_id

BATCH = 1000
RATE = 2000


def totals_fresh(measured: Measured) -> list[Row]:
    """Measure the row `totals_fresh`: the service gets 2,000 events/s, and each batch is timed from the answer to it
    until the root's overview includes it."""
    headers = measured.sign_in_service("point-events:write")
    root = f"{measured.ours}/v1/orgs/{measured.world.root}/reports/overview"
    reader = measured.sign_in(measured.find_main_admin(measured.world.root))
    seconds = 5 if measured.scale.divisor > 1 else 60
    asyncio.run(measured.wait_for_rollup())  # waits for the rollup of earlier events
    waited = asyncio.run(
        _measure_delays(
            f"{measured.ours}/v1/point-events", headers, generate_batches(measured, "fresh"), root, reader, seconds
        )
    )
    p99 = sorted(waited)[int(len(waited) * 0.99)]
    return [
        Row.from_figure(
            "totals_fresh", p99, 2, note=f"s of wall time; p99 of {len(waited)} batches of {BATCH} at {RATE} events/s"
        )
    ]


async def _measure_delays(
    url: str, headers: dict[str, str], batches: Iterator[bytes], overview: str, reader: dict[str, str], seconds: int
) -> list[float]:
    """Send batches for `seconds`. Return for each batch the seconds from its answer until the overview includes it."""
    answered: list[float] = []
    seen: list[tuple[float, float]] = []
    over = asyncio.Event()
    async with httpx.AsyncClient(timeout=60) as api:

        async def send() -> None:
            answer = await api.post(url, content=next(batches), headers=headers | {"Content-Type": "application/json"})
            answer.raise_for_status()
            answered.append(time.time())

        async def read_overviews() -> None:
            while not over.is_set():
                answer = (await api.get(overview, headers=reader)).raise_for_status()
                seen.append((time.time(), datetime.fromisoformat(answer.json()["as_of"]).timestamp()))
                await asyncio.sleep(0.05)

        reading = asyncio.create_task(read_overviews())
        await asyncio.sleep(1)
        began = time.monotonic()
        sending = []
        for tick in range(seconds * RATE // BATCH):
            await asyncio.sleep(max(0.0, began + tick * BATCH / RATE - time.monotonic()))
            sending.append(asyncio.create_task(send()))
        await asyncio.gather(*sending)
        until = time.monotonic() + 120
        while (not seen or seen[-1][1] < answered[-1]) and time.monotonic() < until:
            await asyncio.sleep(0.1)
        over.set()
        await reading
    return [min((at for at, as_of in seen if as_of >= answer), default=answer + 120) - answer for answer in answered]


def generate_batches(measured: Measured, kind: str) -> Iterator[bytes]:
    """Return an endless iterator over request bodies, each with BATCH new events of random users."""
    people = int(str(measured.query_value("SELECT max(first + people - 1) FROM bench.orgs")))
    rng = random.Random(1)
    activated = [n for n in rng.sample(range(1, people), min(people - 1, 50_000)) if n % 10]
    return _generate_bodies([str(build_user_id(n)) for n in activated], kind, rng)


def _generate_bodies(ids: list[str], kind: str, rng: random.Random) -> Iterator[bytes]:
    run, serial = uuid4().hex[:12], count()
    while True:
        now = datetime.now(UTC).isoformat()
        events = [
            {
                "event_id": f"{run}-{next(serial)}",
                "user_id": rng.choice(ids),
                "points": rng.randrange(1, 10),
                "kind": kind,
                "occurred_at": now,
            }
            for _ in range(BATCH)
        ]
        yield json.dumps({"events": events}).encode()
