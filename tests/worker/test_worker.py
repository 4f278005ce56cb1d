"""The queue: a job exists if and only if its write commits, is tried again, and survives a killed worker."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, create_subprocess_exec
from datetime import timedelta
from typing import Any, get_args
from unittest.mock import AsyncMock

import asyncpg
import pytest
from pgqueuer.core import listeners
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import FailingListenerError
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.i18n import Locale, get_locale, use_locale
from app.core.settings import Settings, make_key
from app.database.connections import Database, build_application_name
from app.queue.jobs import Busy, Job, Payload, Worker, enqueue
from app.worker import worker as working
from app.worker.worker import run_worker


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what the jobs `note`, `fails-once`, `busy-once` and `hopeless` did, in order."""
    seen: list[str] = []

    async def note(_: Worker, payload: Payload) -> None:
        seen.append(payload["text"])

    async def fails_once(_: Worker, payload: Payload) -> None:
        seen.append(payload["text"])
        if len(seen) == 1:
            raise ValueError("13800138000 is what a failure may quote")

    async def busy_once(_: Worker, payload: Payload) -> None:
        seen.append(payload["text"])
        if len(seen) == 1:
            raise Busy

    async def hopeless(_: Worker, payload: Payload) -> None:
        raise ValueError(payload["text"])

    async def record_failure(_: Worker, payload: Payload) -> None:
        seen.append("gave up")

    jobs = {
        "note": Job(note),
        "fails-once": Job(fails_once),
        "busy-once": Job(busy_once),
        "hopeless": Job(hopeless, record_failure),
    }
    monkeypatch.setattr(working, "JOBS", jobs)
    monkeypatch.setattr(working, "BUSY_PAUSE", timedelta(milliseconds=50))
    monkeypatch.setattr(working, "POLL_INTERVAL", timedelta(milliseconds=200))
    return seen


async def test_job_exists_only_if_its_write_commits(engine: AsyncEngine, settings: Settings, ran: list[str]) -> None:
    async with engine.connect() as db:
        await enqueue(db, "note", {"text": "rolled back"})
        await db.rollback()
        await enqueue(db, "note", {"text": "committed"})
        await db.commit()
    await run_worker(settings, until_idle=True)
    assert ran == ["committed"]


async def test_failed_job_is_retried_and_its_text_is_not_stored(
    engine: AsyncEngine, settings: Settings, ran: list[str], db: AsyncConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    async with engine.begin() as connection:
        await enqueue(connection, "fails-once", {"text": "tried"})
    await run_worker(settings, until_idle=True)
    assert ran == ["tried", "tried"]
    logged: Any = await db.scalar(text("SELECT string_agg(coalesce(traceback::text, ''), '') FROM pgqueuer_log"))
    assert "ValueError" in logged
    assert "13800138000" not in logged
    assert "13800138000" not in capsys.readouterr().out


async def test_job_that_finds_its_lock_taken_is_enqueued_again(
    engine: AsyncEngine, settings: Settings, ran: list[str]
) -> None:
    async with engine.begin() as connection:
        await enqueue(connection, "busy-once", {"text": "came"})
    await run_worker(settings, until_idle=True)
    assert ran == ["came", "came"]


async def test_job_runs_in_the_language_of_its_starter(
    engine: AsyncEngine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str]] = []

    async def busy_once(_: Worker, payload: Payload) -> None:
        seen.append((payload["text"], get_locale()))
        if len(seen) < 3:
            raise Busy

    monkeypatch.setattr(working, "JOBS", {"busy-once": Job(busy_once)})
    monkeypatch.setattr(working, "BUSY_PAUSE", timedelta(milliseconds=50))
    monkeypatch.setattr(working, "POLL_INTERVAL", timedelta(milliseconds=200))
    async with engine.begin() as connection:
        for locale in get_args(Locale):
            with use_locale(locale):
                await enqueue(connection, "busy-once", {"text": locale})
    await run_worker(settings, until_idle=True)
    assert sorted(seen) == [("en", "en"), ("en", "en"), ("zh", "zh"), ("zh", "zh")]


async def test_job_that_always_fails_is_abandoned_after_the_last_attempt(
    engine: AsyncEngine, settings: Settings, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "ATTEMPTS", 1)
    async with engine.begin() as connection:
        await enqueue(connection, "hopeless", {"text": "no"})
    await run_worker(settings, until_idle=True)
    assert ran == ["gave up"]


async def test_worker_without_notifications_finds_jobs_and_stops(
    engine: AsyncEngine, settings: Settings, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ignore_notifications(*_: object, **__: object) -> None:
        raise FailingListenerError

    monkeypatch.setattr(QueueManager, "listener_healthy", ignore_notifications)
    monkeypatch.setattr(listeners, "initialize_notice_event_listener", AsyncMock())
    working_on = asyncio.create_task(run_worker(settings))
    await asyncio.sleep(0.5)
    async with engine.begin() as connection:
        await enqueue(connection, "note", {"text": "found"})
    async with asyncio.timeout(20):
        while not ran:  # noqa: ASYNC110 — the job sends no signal
            await asyncio.sleep(0.05)
    working_on.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working_on
    assert ran == ["found"]


async def test_worker_connections_show_their_index_keys(
    engine: AsyncEngine, settings: Settings, ran: list[str], db: AsyncConnection
) -> None:
    """A rotation of the index key starts only when every connected process knows the next key."""
    there = "SELECT pid, application_name FROM pg_stat_activity WHERE datname = current_database()"
    before = {row.pid for row in await db.execute(text(there))}
    knowing = settings.model_copy(update={"next_index_key": SecretStr(make_key())})
    working_on = asyncio.create_task(run_worker(knowing))
    async with engine.begin() as connection:
        await enqueue(connection, "note", {"text": "found"})
    names: list[str] = []
    known = build_application_name(knowing)
    try:
        async with asyncio.timeout(20):
            # One connection of the queue and one of the jobs. The one that compares the keys at the start ends.
            while not ran or names.count(known) < 2 or not set(names) <= {known, "xuezu rollup"}:
                await asyncio.sleep(0.05)
                names = [row.application_name for row in await db.execute(text(there)) if row.pid not in before]
    finally:
        working_on.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working_on


PROGRAM = """
import asyncio, sys
from datetime import timedelta
from pydantic import SecretStr
from app.worker import worker
from app.queue.jobs import Job
from app.core.settings import Settings

async def hang(_, payload):
    print("begun", flush=True)
    await asyncio.sleep(60)

worker.JOBS = {"note": Job(hang)}
settings = Settings(database_url=SecretStr(sys.argv[1])).complete_secrets()
asyncio.run(worker.run_worker(settings, heartbeat_timeout=timedelta(seconds=2)))
"""


async def test_job_of_a_killed_worker_is_taken_over(
    engine: AsyncEngine, settings: Settings, database_url: str, ran: list[str]
) -> None:
    async with engine.begin() as connection:
        await enqueue(connection, "note", {"text": "taken up"})
    environment = os.environ | {"XUEZU_DATA_DIR": str(settings.data_dir)}
    child = await create_subprocess_exec(
        sys.executable, "-c", PROGRAM, database_url, stdout=asyncio.subprocess.PIPE, stderr=DEVNULL, env=environment
    )
    assert child.stdout is not None
    try:
        async with asyncio.timeout(30):
            while await child.stdout.readline() != b"begun\n":
                assert child.returncode is None
    finally:
        child.kill()
        await child.wait()
    stopping = asyncio.create_task(run_worker(settings, heartbeat_timeout=timedelta(seconds=2)))
    async with asyncio.timeout(30):
        while not ran:  # noqa: ASYNC110 — the job sends no signal
            await asyncio.sleep(0.1)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert ran == ["taken up"]


async def test_worker_restarts_its_queue_after_a_database_failure(
    settings: Settings, ran: list[str], engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue ends this way if its server is away for some seconds: the listener's connection cannot be returned."""
    falls = iter([asyncpg.InterfaceError("released back to the pool"), ConnectionRefusedError()])
    run = QueueManager.run

    async def fail_once(manager: QueueManager, **options: Any) -> None:
        if (error := next(falls, None)) is not None:
            raise error
        await run(manager, **options)

    async def skip_rollup(_: Database) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(QueueManager, "run", fail_once)
    monkeypatch.setattr(working, "run_rollup", skip_rollup)
    monkeypatch.setattr(working, "AFTER_FAILURE", 0.05)
    async with engine.begin() as db:
        await enqueue(db, "note", {"text": "after the fail_once"})
    at_work = asyncio.create_task(run_worker(settings))
    try:
        async with asyncio.timeout(30):
            while ran != ["after the fail_once"]:
                assert not at_work.done(), "it has ended"
                await asyncio.sleep(0.05)
    finally:
        at_work.cancel()
        await asyncio.gather(at_work, return_exceptions=True)
    assert next(falls, None) is None
