"""The queue: a job exists exactly when its write does, is tried again, and outlives a killed worker."""

import asyncio
import os
import signal
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
from app.database.driver import application_name
from app.queue.jobs import Busy, Job, Payload, Worker, enqueue
from app.worker import worker as working
from app.worker.worker import run_worker


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the jobs `note`, `fails-once`, `busy-once` and `hopeless` have done, in order."""
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

    async def gave_up(_: Worker, payload: Payload) -> None:
        seen.append("gave up")

    jobs = {
        "note": Job(note),
        "fails-once": Job(fails_once),
        "busy-once": Job(busy_once),
        "hopeless": Job(hopeless, gave_up),
    }
    monkeypatch.setattr(working, "JOBS", jobs)
    monkeypatch.setattr(working, "BUSY_PAUSE", timedelta(milliseconds=50))
    monkeypatch.setattr(working, "LOOK_AGAIN", timedelta(milliseconds=200))
    return seen


async def test_a_job_exists_exactly_when_its_write_does(
    engine: AsyncEngine, settings: Settings, ran: list[str]
) -> None:
    async with engine.connect() as db:
        await enqueue(db, "note", {"text": "rolled back"})
        await db.rollback()
        await enqueue(db, "note", {"text": "committed"})
        await db.commit()
    await run_worker(settings, until_idle=True)
    assert ran == ["committed"]


async def test_a_failing_job_is_tried_again_and_its_text_is_kept_nowhere(
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


async def test_a_job_that_finds_its_turn_taken_comes_back(
    engine: AsyncEngine, settings: Settings, ran: list[str]
) -> None:
    async with engine.begin() as connection:
        await enqueue(connection, "busy-once", {"text": "came"})
    await run_worker(settings, until_idle=True)
    assert ran == ["came", "came"]


async def test_a_job_runs_in_the_language_of_the_person_who_started_it(
    engine: AsyncEngine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str]] = []

    async def busy_once(_: Worker, payload: Payload) -> None:
        seen.append((payload["text"], get_locale()))
        if len(seen) < 3:
            raise Busy

    monkeypatch.setattr(working, "JOBS", {"busy-once": Job(busy_once)})
    monkeypatch.setattr(working, "BUSY_PAUSE", timedelta(milliseconds=50))
    monkeypatch.setattr(working, "LOOK_AGAIN", timedelta(milliseconds=200))
    async with engine.begin() as connection:
        for locale in get_args(Locale):
            with use_locale(locale):
                await enqueue(connection, "busy-once", {"text": locale})
    await run_worker(settings, until_idle=True)
    assert sorted(seen) == [("en", "en"), ("en", "en"), ("zh", "zh"), ("zh", "zh")]


async def test_a_job_that_never_succeeds_is_given_up(
    engine: AsyncEngine, settings: Settings, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "ATTEMPTS", 1)
    async with engine.begin() as connection:
        await enqueue(connection, "hopeless", {"text": "no"})
    await run_worker(settings, until_idle=True)
    assert ran == ["gave up"]


async def test_a_worker_whose_listener_is_deaf_finds_its_jobs_and_stops_when_told(
    engine: AsyncEngine, settings: Settings, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def deaf(*_: object, **__: object) -> None:
        raise FailingListenerError

    monkeypatch.setattr(QueueManager, "listener_healthy", deaf)
    monkeypatch.setattr(listeners, "initialize_notice_event_listener", AsyncMock())
    working_on = asyncio.create_task(run_worker(settings))
    await asyncio.sleep(0.5)
    async with engine.begin() as connection:
        await enqueue(connection, "note", {"text": "found"})
    async with asyncio.timeout(20):
        while not ran:  # noqa: ASYNC110 — the job tells nobody
            await asyncio.sleep(0.05)
    working_on.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working_on
    assert ran == ["found"]


async def test_every_connection_of_a_worker_says_which_index_keys_it_knows(
    engine: AsyncEngine, settings: Settings, ran: list[str], db: AsyncConnection
) -> None:
    """The rotation of the index key begins only when no process is connected that does not know the next."""
    there = "SELECT pid, application_name FROM pg_stat_activity WHERE datname = current_database()"
    before = {row.pid for row in await db.execute(text(there))}
    knowing = settings.model_copy(update={"next_index_key": SecretStr(make_key())})
    working_on = asyncio.create_task(run_worker(knowing))
    async with engine.begin() as connection:
        await enqueue(connection, "note", {"text": "found"})
    async with asyncio.timeout(20):
        while not ran:  # noqa: ASYNC110 — the job tells nobody
            await asyncio.sleep(0.05)
    names = [row.application_name for row in await db.execute(text(there)) if row.pid not in before]
    working_on.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working_on
    assert set(names) <= {application_name(knowing), "xuezu rollup"}
    assert names.count(application_name(knowing)) >= 3  # the queue's two and the jobs' own


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
settings = Settings(database_url=SecretStr(sys.argv[1])).with_secrets()
asyncio.run(worker.run_worker(settings, silence=timedelta(seconds=2)))
"""


async def test_the_job_of_a_killed_worker_is_taken_up(
    engine: AsyncEngine, settings: Settings, database_url: str, ran: list[str]
) -> None:
    async with engine.begin() as connection:
        await enqueue(connection, "note", {"text": "taken up"})
    environment = os.environ | {"XUEZU_DATA_DIR": str(settings.data_dir)}
    child = await create_subprocess_exec(
        sys.executable, "-c", PROGRAM, database_url, stdout=asyncio.subprocess.PIPE, stderr=DEVNULL, env=environment
    )
    assert child.stdout is not None
    async with asyncio.timeout(30):
        while await child.stdout.readline() != b"begun\n":
            assert child.returncode is None
    child.send_signal(signal.SIGKILL)
    await child.wait()
    stopping = asyncio.create_task(run_worker(settings, silence=timedelta(seconds=2)))
    async with asyncio.timeout(30):
        while not ran:  # noqa: ASYNC110 — the job tells nobody
            await asyncio.sleep(0.1)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert ran == ["taken up"]


async def test_a_worker_whose_queue_falls_with_its_database_begins_anew(
    settings: Settings, ran: list[str], engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue ends so, when its server is away for some seconds: its listener's connection cannot be given back."""
    falls = iter([asyncpg.InterfaceError("released back to the pool"), ConnectionRefusedError()])
    run = QueueManager.run

    async def fall(manager: QueueManager, **options: Any) -> None:
        if (error := next(falls, None)) is not None:
            raise error
        await run(manager, **options)

    async def no_folding(_: Settings) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(QueueManager, "run", fall)
    monkeypatch.setattr(working, "run_rollup", no_folding)
    monkeypatch.setattr(working, "AFTER_FAILURE", 0.05)
    async with engine.begin() as db:
        await enqueue(db, "note", {"text": "after the fall"})
    at_work = asyncio.create_task(run_worker(settings))
    try:
        async with asyncio.timeout(30):
            while ran != ["after the fall"]:
                assert not at_work.done(), "it has ended"
                await asyncio.sleep(0.05)
    finally:
        at_work.cancel()
        await asyncio.gather(at_work, return_exceptions=True)
    assert next(falls, None) is None
