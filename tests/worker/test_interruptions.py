"""A worker outlives its database and ends when it is told to, in any state; its jobs go back to the queue."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.settings import Settings
from app.database import watch
from app.queue.jobs import Job, Payload, Worker, enqueue
from app.worker import interruptions
from app.worker import worker as working
from app.worker.worker import run_worker
from tests.tcp_proxy import TcpProxy, run_proxy


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the runs of the job `wait`, which ends at once if it has run before. `endless` never ends."""
    seen: list[str] = []

    async def wait(worker: Worker, payload: Payload) -> None:
        seen.append(payload["text"])
        if len(seen) == 1:
            async with worker.engine.begin() as db:
                await db.execute(text("SELECT pg_sleep(60)"))

    async def endless(_: Worker, payload: Payload) -> None:
        seen.append(payload["text"])
        while len(seen) == 1:  # noqa: ASYNC110 — it never ends
            await asyncio.sleep(0.1)

    monkeypatch.setattr(working, "JOBS", {"wait": Job(wait), "endless": Job(endless)})
    monkeypatch.setattr(working, "POLL_INTERVAL", timedelta(milliseconds=200))
    monkeypatch.setattr(interruptions, "GIVEN_BACK_AFTER", timedelta())
    monkeypatch.setattr(working, "STOP_SECONDS", 0.3)
    monkeypatch.setattr(working, "AFTER_FAILURE", 0.1)
    for name in ("PERIOD", "SUSPICIOUS_AFTER", "SILENT_AFTER", "_SLICE"):
        monkeypatch.setattr(watch, name, getattr(watch, name) / 10)
    return seen


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[tuple[TcpProxy, str]]:
    async with run_proxy(database_url) as found:
        yield found


async def add_job(engine: AsyncEngine, name: str) -> None:
    async with engine.begin() as db:
        await enqueue(db, name, {"text": name})


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.02)


async def stop(task: asyncio.Task[None], times: int = 1) -> float:
    """Cancel the worker and return the seconds that it needs to end."""
    began = time.monotonic()
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0.05)
    async with asyncio.timeout(20):
        await asyncio.wait({task})
    assert task.cancelled()
    return time.monotonic() - began


STATE = text("SELECT status::text, attempts, queue_manager_id IS NULL AS free FROM pgqueuer WHERE entrypoint = :name")


async def test_job_whose_connection_is_lost_runs_again_without_counting_an_attempt(
    engine: AsyncEngine, settings: Settings, runs: list[str], proxy: tuple[TcpProxy, str], db: AsyncConnection
) -> None:
    through = settings.model_copy(update={"database_url": SecretStr(f"{proxy[1]}&connect_timeout=1")})
    task = asyncio.create_task(run_worker(through, heartbeat_timeout=timedelta(minutes=5)))
    await add_job(engine, "wait")
    await until(lambda: len(runs) == 1)
    proxy[0].silent = True
    await asyncio.sleep(1.5)
    assert not task.done()
    assert (await db.execute(STATE, {"name": "wait"})).one() == ("picked", 0, False)
    proxy[0].silent = False
    await until(lambda: len(runs) == 2)

    async def is_gone() -> bool:
        return (await db.execute(STATE, {"name": "wait"})).one_or_none() is None

    await until(is_gone)
    await stop(task)


@pytest.mark.parametrize("name", ["wait", "endless"])
@pytest.mark.parametrize("times", [1, 2])
async def test_running_job_of_a_stopping_worker_goes_back_to_the_queue(
    engine: AsyncEngine,
    settings: Settings,
    runs: list[str],
    db: AsyncConnection,
    name: str,
    times: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if times == 2:
        monkeypatch.setattr(working, "STOP_SECONDS", 60)  # the second signal does not wait for it
        monkeypatch.setattr(working, "END_SECONDS", 60)
    task = asyncio.create_task(run_worker(settings))
    await add_job(engine, name)
    await until(lambda: len(runs) == 1)
    assert await stop(task, times) < 6
    assert (await db.execute(STATE, {"name": name})).one() == ("queued", 0, True)
    await run_worker(settings, until_idle=True)
    assert runs == [name, name]


@pytest.mark.parametrize("is_noticed", [False, True])
async def test_worker_stops_while_the_database_is_silent(
    engine: AsyncEngine,
    settings: Settings,
    runs: list[str],
    proxy: tuple[TcpProxy, str],
    monkeypatch: pytest.MonkeyPatch,
    is_noticed: bool,
) -> None:
    """The watch has noticed the silence, or it has not yet."""
    through = settings.model_copy(update={"database_url": SecretStr(f"{proxy[1]}&connect_timeout=1")})
    if not is_noticed:
        for name in ("PERIOD", "SUSPICIOUS_AFTER", "SILENT_AFTER"):
            monkeypatch.setattr(watch, name, getattr(watch, name) * 10)
    task = asyncio.create_task(run_worker(through))
    await add_job(engine, "wait")
    await until(lambda: len(runs) == 1)
    proxy[0].silent = True
    await asyncio.sleep(1.5 if is_noticed else 0)
    assert await stop(task) < 15  # 7 s, and what a busy machine adds
    async with engine.begin() as db:
        await db.execute(text("DELETE FROM pgqueuer WHERE entrypoint = 'wait'"))


async def test_worker_stops_while_it_cannot_connect(
    settings: Settings, runs: list[str], proxy: tuple[TcpProxy, str]
) -> None:
    proxy[0].silent = True
    through = settings.model_copy(update={"database_url": SecretStr(proxy[1])})
    task = asyncio.create_task(run_worker(through))
    await asyncio.sleep(0.3)
    assert await stop(task) < 5
