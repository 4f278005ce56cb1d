"""The worker: takes jobs from the queue and runs them, a few at a time, until it is told to stop.

A job whose worker was killed is taken up by another once its heartbeat has been silent. A failing one is tried again
with growing pauses. What a failure says stays in this process's logs without its text, which may quote personal data;
the queue's own tables learn the kind of error only.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import asyncpg
import structlog
from pgqueuer import PgQueuer
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Job as QueuedJob
from pgqueuer.domain.models import Schedule
from pgqueuer.domain.types import QueueExecutionMode
from sqlalchemy.exc import SQLAlchemyError

from app.core.cipher import Cipher
from app.core.i18n import use_locale
from app.core.settings import Settings
from app.database.db import create_engine
from app.database.driver import application_name
from app.database.retention import CleanUp
from app.members import jobs as members
from app.queue.jobs import Busy, Job, Payload, Worker, enqueue, unpack_payload
from app.reports import jobs as reports
from app.reports.rollup.worker import run_rollup
from app.worker import retention

log = structlog.get_logger()

JOBS: Mapping[str, Job] = {**members.JOBS, **reports.JOBS, **retention.JOBS}

AT_ONCE = 6
"""How many run at once. Kinds that take long are limited (`Job.concurrency_limit`), which leaves room for a short one."""
ATTEMPTS = 5
LOOK_AGAIN = timedelta(seconds=5)
"""The queue tells of new jobs at once; of one that is to be tried again it does not."""
BUSY_PAUSE = timedelta(seconds=1)
AFTER_FAILURE = 2.0
SILENCE = timedelta(seconds=20)
"""A job whose heartbeat has been silent for so long is taken for dead."""


class GaveUp(Exception):  # noqa: N818
    """A job failed for the last time; carries the kind of the last error and nothing of its text."""


async def run_worker(settings: Settings, *, until_idle: bool = False, silence: timedelta = SILENCE) -> None:
    """Run jobs until cancelled, then finish those at hand; with `until_idle` end when there are none left.

    A database that goes away is waited for: the queue does not always outlive it, and is begun anew.
    """
    # Draining is for tests, which look at figures counted to the moment.
    rollup = None if until_idle else asyncio.create_task(run_rollup(settings))
    try:
        while True:
            try:
                await _run_jobs(settings, until_idle=until_idle, silence=silence)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                if until_idle:
                    raise
                log.error("queue_failed", error=type(error).__name__, sqlstate=getattr(error, "sqlstate", None))
                await asyncio.sleep(AFTER_FAILURE)
            else:
                return
    finally:
        if rollup is not None:
            rollup.cancel()
            with suppress(asyncio.CancelledError):
                await rollup


async def _run_jobs(settings: Settings, *, until_idle: bool, silence: timedelta) -> None:
    async with _queue(settings) as queue:
        running = asyncio.create_task(
            queue.qm.run(
                batch_size=AT_ONCE // 2,  # the queue's least for so many at once
                max_concurrent_tasks=AT_ONCE,
                mode=QueueExecutionMode.drain if until_idle else QueueExecutionMode.continuous,
                # The queue's first probe of its listener is sent before it listens, and is always lost. Without
                # the listener jobs are found all the same, every LOOK_AGAIN.
                shutdown_on_listener_failure=False,
                heartbeat_timeout=silence,
                dequeue_timeout=LOOK_AGAIN,
            )
        )
        tasks = [running] if until_idle else [running, asyncio.create_task(queue.sm.run())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            queue.shutdown.set()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in ended:
            if outcome is not None:
                raise outcome


@asynccontextmanager
async def _queue(settings: Settings) -> AsyncIterator[PgQueuer]:
    assert settings.database_url is not None
    logging.getLogger("pgqueuer").setLevel(logging.CRITICAL)  # it logs what jobs raise, text and all
    worker = Worker(settings, create_engine(settings), Cipher(settings))
    try:
        async with asyncpg.create_pool(
            settings.database_url.get_secret_value(),
            min_size=2,
            max_size=4,
            server_settings={"application_name": application_name(settings)},
            **({"statement_cache_size": 0} if settings.transaction_pooler else {}),
        ) as pool:
            queue = PgQueuer.from_asyncpg_pool(pool)
            for name, job in JOBS.items():
                queue.entrypoint(name, accepts_context=False, concurrency_limit=job.concurrency_limit)(
                    _entrypoint(worker, name, job)
                )
            for clean_up in retention.CLEAN_UPS:
                name = retention.SCHEDULED.format(clean_up.name)
                queue.schedule(name, clean_up.schedule, accepts_context=False)(_scheduled(worker, clean_up))
            yield queue
    finally:
        await worker.engine.dispose()


def _entrypoint(worker: Worker, name: str, job: Job) -> Callable[[QueuedJob], Awaitable[None]]:
    async def run(queued: QueuedJob) -> None:
        payload, locale = unpack_payload(queued.payload)
        with use_locale(locale):
            await attempt(queued, payload)

    async def attempt(queued: QueuedJob, payload: Payload) -> None:
        try:
            await job.run(worker, payload)
        except Busy:
            # A job of its own, so that waiting does not count as failing.
            async with worker.engine.begin() as db:
                await enqueue(db, name, payload, after=BUSY_PAUSE)
        except Exception as error:
            last = queued.attempts + 1 >= ATTEMPTS
            log.error("job_failed", job=name, attempt=queued.attempts + 1, last=last, exc_info=error)
            if not last:
                raise RetryRequested(timedelta(seconds=2**queued.attempts), type(error).__name__) from None
            if job.on_final_failure is not None:
                await job.on_final_failure(worker, payload)
            raise GaveUp(type(error).__name__) from None

    return run


def _scheduled(worker: Worker, clean_up: CleanUp) -> Callable[[Schedule], Awaitable[None]]:
    async def request(_: Schedule) -> None:
        try:
            await retention.request_clean_up(worker.engine, clean_up)
        except (SQLAlchemyError, OSError) as error:  # the next time of its schedule comes all the same
            log.warning("clean_up_not_requested", clean_up=clean_up.name, error=type(error).__name__)

    return request
