"""The worker: it takes jobs from the queue and runs several at a time, until it is stopped.

If a worker is killed, another worker takes its job over when the heartbeat has been silent for a time. A failed job is
tried again after growing pauses. Only the logs of this process have the errors, without their texts, which can quote
personal data. The queue's tables contain the class of the error only.
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
from app.database.driver import build_application_name
from app.database.retention import CleanUp
from app.members import jobs as members
from app.org_loads import jobs as org_loads
from app.queue.jobs import Busy, Job, Payload, Worker, enqueue, unpack_payload
from app.reports import jobs as reports
from app.reports.rollup.worker import run_rollup
from app.worker import retention

log = structlog.get_logger()

JOBS: Mapping[str, Job] = {**members.JOBS, **org_loads.JOBS, **reports.JOBS, **retention.JOBS}

MAX_CONCURRENT_JOBS = 6
"""The limit of concurrent jobs. Slow kinds have a lower limit (`Job.concurrency_limit`), so that short jobs can run."""
ATTEMPTS = 5
POLL_INTERVAL = timedelta(seconds=5)
"""The queue notifies of new jobs immediately, but not of jobs that are due for another attempt."""
BUSY_PAUSE = timedelta(seconds=1)
AFTER_FAILURE = 2.0
HEARTBEAT_TIMEOUT = timedelta(seconds=20)
"""A job without a heartbeat for this long is taken over."""


class JobFailed(Exception):
    """The last attempt of a job failed. Contains the class of the last error, without its text."""


async def run_worker(
    settings: Settings, *, until_idle: bool = False, heartbeat_timeout: timedelta = HEARTBEAT_TIMEOUT
) -> None:
    """Run jobs until cancelled, then finish the running ones. With `until_idle`, end when no job is left.

    If the database is away, the worker waits for it and starts the queue again, because the queue does not always
    survive.
    """
    # Tests use `until_idle`, and read totals that are counted from the sources.
    rollup = None if until_idle else asyncio.create_task(run_rollup(settings))
    try:
        while True:
            try:
                await _run_jobs(settings, until_idle=until_idle, heartbeat_timeout=heartbeat_timeout)
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


async def _run_jobs(settings: Settings, *, until_idle: bool, heartbeat_timeout: timedelta) -> None:
    async with _open_queue(settings) as queue:
        running = asyncio.create_task(
            queue.qm.run(
                batch_size=MAX_CONCURRENT_JOBS // 2,  # the queue's minimum for this concurrency
                max_concurrent_tasks=MAX_CONCURRENT_JOBS,
                mode=QueueExecutionMode.drain if until_idle else QueueExecutionMode.continuous,
                # The queue sends the first probe of its listener before it listens, so the probe is always lost.
                # Without the listener jobs are found every POLL_INTERVAL.
                shutdown_on_listener_failure=False,
                heartbeat_timeout=heartbeat_timeout,
                dequeue_timeout=POLL_INTERVAL,
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
async def _open_queue(settings: Settings) -> AsyncIterator[PgQueuer]:
    assert settings.database_url is not None
    logging.getLogger("pgqueuer").setLevel(logging.CRITICAL)  # it logs the errors of jobs with their texts
    worker = Worker(settings, create_engine(settings), Cipher(settings))
    try:
        async with asyncpg.create_pool(
            settings.database_url.get_secret_value(),
            min_size=2,
            max_size=4,
            server_settings={"application_name": build_application_name(settings)},
            **({"statement_cache_size": 0} if settings.transaction_pooler else {}),
        ) as pool:
            queue = PgQueuer.from_asyncpg_pool(pool)
            for name, job in JOBS.items():
                queue.entrypoint(name, accepts_context=False, concurrency_limit=job.concurrency_limit)(
                    _build_entrypoint(worker, name, job)
                )
            for clean_up in retention.CLEAN_UPS:
                name = retention.SCHEDULED.format(clean_up.name)
                queue.schedule(name, clean_up.schedule, accepts_context=False)(_build_schedule(worker, clean_up))
            yield queue
    finally:
        await worker.engine.dispose()


def _build_entrypoint(worker: Worker, name: str, job: Job) -> Callable[[QueuedJob], Awaitable[None]]:
    async def run(queued: QueuedJob) -> None:
        payload, locale = unpack_payload(queued.payload)
        with use_locale(locale):
            await attempt(queued, payload)

    async def attempt(queued: QueuedJob, payload: Payload) -> None:
        try:
            await job.run(worker, payload)
        except Busy:
            # A new job, so that waiting does not count as a failed attempt.
            async with worker.engine.begin() as db:
                await enqueue(db, name, payload, after=BUSY_PAUSE)
        except Exception as error:
            last = queued.attempts + 1 >= ATTEMPTS
            log.error("job_failed", job=name, attempt=queued.attempts + 1, last=last, exc_info=error)
            if not last:
                raise RetryRequested(timedelta(seconds=2**queued.attempts), type(error).__name__) from None
            if job.on_final_failure is not None:
                await job.on_final_failure(worker, payload)
            raise JobFailed(type(error).__name__) from None

    return run


def _build_schedule(worker: Worker, clean_up: CleanUp) -> Callable[[Schedule], Awaitable[None]]:
    async def request(_: Schedule) -> None:
        try:
            await retention.request_clean_up(worker.engine, clean_up)
        except (SQLAlchemyError, OSError) as error:  # the next scheduled run follows anyway
            log.warning("clean_up_not_requested", clean_up=clean_up.name, error=type(error).__name__)

    return request
