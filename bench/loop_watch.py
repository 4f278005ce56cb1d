"""The API as one process that watches its own event loop: `python -m bench.loop_watch FILE`.

A task wakes every two milliseconds. If it is late, FILE gets a line `wall_ms cpu_ms`: how long the loop was blocked,
and the processor time of this process meanwhile. The smaller value is the loop's own fault; the rest is other load.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import TextIO

from app import http_server
from app.core.settings import Settings

EVERY = 0.002
WORTH_A_LINE_MS = 5.0


async def _watch(file: TextIO) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    while True:
        await asyncio.sleep(EVERY)
        now, used = time.perf_counter(), time.process_time()
        late_ms, used_ms = (now - wall - EVERY) * 1000, (used - cpu) * 1000
        if min(late_ms, used_ms) > WORTH_A_LINE_MS:
            file.write(f"{late_ms:.1f} {used_ms:.1f}\n")
        wall, cpu = now, used


def read_longest_stall(file: Path) -> float:
    """Return the longest time in milliseconds for which the process blocked its event loop."""
    return max((min(map(float, line.split())) for line in file.read_text().splitlines()), default=0.0)


def main() -> None:
    lines = Path(sys.argv[1]).open("a", buffering=1)  # noqa: SIM115 — for as long as the process lives

    class Watched(http_server.Server):
        async def startup(self, sockets: object = None) -> None:
            await super().startup(sockets)  # type: ignore[arg-type]  # uvicorn's list of sockets is passed on
            self.watching = asyncio.create_task(_watch(lines))

    http_server.Server = Watched  # type: ignore[misc]  # the process serves with this class
    http_server.serve(Settings().complete_secrets())


if __name__ == "__main__":
    main()
