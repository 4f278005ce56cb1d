"""The API and a worker as processes outlive a PostgreSQL that is stopped, killed and replaced by its standby.

It runs with XUEZU_PROOF=1 only, because it waits for the real times of the watch.
"""

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx
import psutil
import pytest
from sqlalchemy import text

from app.database import migration
from app.embedded import postgres
from app.queue.jobs import enqueue
from app.worker.retention import CLEAN_UPS, JOB
from tests.databases import create_test_engine
from tests.people import fresh_phone
from tests.processes import Program, find_free_port
from tests.standby import Pair, run_pair

pytestmark = pytest.mark.skipif(os.environ.get("XUEZU_PROOF") != "1", reason="takes minutes; run with XUEZU_PROOF=1")

GIVEN_UP = 10.0
"""Seconds after which every request has its answer, and from which on it comes at once."""


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with tempfile.TemporaryDirectory(prefix="xuezu-test-") as directory, run_pair(Path(directory)) as found:
        asyncio.run(migration.migrate_to_head(found.primary.build_url()))
        yield found


@contextmanager
def stopped(server: postgres.EmbeddedPostgres) -> Iterator[None]:
    """Stop every process of the server for the block: its sockets stay open, and nothing answers."""
    postmaster = psutil.Process(server.pid)
    processes = [postmaster, *postmaster.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            if process.is_running():
                process.resume()


def kill(server: postgres.EmbeddedPostgres) -> None:
    postmaster = psutil.Process(server.pid)
    processes = [postmaster, *postmaster.children(recursive=True)]
    postmaster.kill()
    for process in processes[1:]:
        process.kill()
    psutil.wait_procs(processes, 30)


@dataclass
class Client:
    """Sends a request every 50 ms, and keeps the time, the length and the status of each answer."""

    port: int
    answers: list[tuple[float, float, int]] = field(default_factory=list)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        calling: set[asyncio.Task[None]] = set()

        async def call(api: httpx.AsyncClient) -> None:
            began = time.monotonic()
            try:
                status = (await api.post("/v1/phone-codes", json={"phone": fresh_phone()})).status_code
            except httpx.TransportError:
                status = 0
            self.answers.append((began, time.monotonic() - began, status))

        async def call_again(api: httpx.AsyncClient) -> None:
            while True:
                calling.add(asyncio.create_task(call(api)))
                await asyncio.sleep(0.05)

        limits = httpx.Limits(max_connections=1000)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=60, limits=limits) as api:
            sending = asyncio.create_task(call_again(api))
            try:
                yield
            finally:
                sending.cancel()
                await asyncio.gather(*calling)

    def list_since(self, began: float) -> list[tuple[float, int]]:
        """Return the lengths and states of the answers to requests that began later."""
        return [(length, status) for start, length, status in self.answers if start >= began]

    async def wait_until_served(self, seconds: float) -> float:
        """Return how long it took until requests were served again."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if any(status in SERVED for _, status in self.list_since(began)):
                return time.monotonic() - began
            await asyncio.sleep(0.05)
        raise AssertionError([status for _, status in self.list_since(began)][-20:])


SERVED = (202, 429)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 — no signal tells of it
            await asyncio.sleep(0.1)


async def run_job(url: str, seconds: float) -> None:
    """Add a job, and wait until the worker has run it."""
    engine = create_test_engine(url)
    try:
        async with engine.begin() as db:
            await enqueue(db, JOB, {"name": CLEAN_UPS[0].name})
            last = await db.scalar(text("SELECT max(id) FROM pgqueuer"))

        async def is_done() -> bool:
            async with engine.connect() as db:
                done = text("SELECT count(*) FROM pgqueuer_log WHERE job_id = :id AND status = 'successful'")
                return bool(await db.scalar(done, {"id": last}))

        await until(is_done, seconds)
    finally:
        await engine.dispose()


async def test_service_outlives_a_database_that_is_stopped_killed_and_replaced(
    pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    primary, standby = pair.primary, pair.standby
    hosts = quote(f"{primary.sockets},{standby.sockets}", safe="")
    port = find_free_port()
    environment = {
        "XUEZU_DATABASE_URL": f"postgresql://xuezu@/xuezu?host={hosts}&port=5432",
        "XUEZU_DATA_DIR": tmp_path,
        "XUEZU_PORT": port,
        "XUEZU_LOG_FORMAT": "json",
    }
    start = (sys.executable, "-m", "app.cli")
    api, worker = Program(*start, "serve", **environment), Program(*start, "worker", **environment)
    client = Client(port)
    figures: dict[str, float] = {}
    try:
        async with client.run():
            await client.wait_until_served(60)
            client.answers.clear()
            await run_job(primary.build_url(), 60)

            with stopped(primary):
                began = time.monotonic()
                await asyncio.sleep(GIVEN_UP + 5)
                early = [length for length, _ in client.list_since(began)]
                late = client.list_since(began + GIVEN_UP)
                figures["stopped: longest answer"] = max(early)
                assert max(early) < GIVEN_UP
                assert {status for _, status in late} == {503}
                assert max(length for length, _ in late) < 1
            figures["continued: back after"] = await client.wait_until_served(5)
            await run_job(primary.build_url(), 20)

            kill(primary)
            began = time.monotonic()
            await asyncio.sleep(3)
            assert {status for _, status in client.list_since(began)} == {503}
            postgres.start(primary.directory, settings=postgres.THROWAWAY)
            figures["killed: back after"] = await client.wait_until_served(20)
            again = postgres.find_running(primary.directory)
            assert again is not None
            await run_job(again.build_url(), 20)

            with stopped(again):  # the host is gone, and its standby takes over
                began = time.monotonic()
                standby.execute("SELECT pg_promote()")
                await client.wait_until_served(30)
                figures["failed over: back after"] = time.monotonic() - began
                assert figures["failed over: back after"] < GIVEN_UP + 3
                await run_job(standby.build_url(), 20)
                assert worker.process.poll() is None
                assert api.process.poll() is None

                with stopped(standby):  # nobody answers now
                    began = time.monotonic()
                    worker.process.send_signal(signal.SIGTERM)
                    await asyncio.to_thread(worker.process.wait, 12)
                    figures["worker: ended after"] = time.monotonic() - began
                    assert figures["worker: ended after"] < GIVEN_UP
            await client.wait_until_served(10)
        assert {status for _, _, status in client.answers} <= {*SERVED, 503}
    finally:
        for program in (api, worker):
            program.process.kill()
            program.process.wait()
            program.close()
    with capsys.disabled():
        sys.stdout.writelines(f"\n{name} {seconds:.1f} s" for name, seconds in figures.items())
