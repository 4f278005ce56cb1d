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
from typing import Any
from uuid import UUID

import asyncpg
import structlog
from pgqueuer import PgQueuer
from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Job as QueuedJob
from pgqueuer.domain.models import Schedule
from pgqueuer.domain.types import QueueExecutionMode
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit import jobs as audit
from app.audit.seals import run_sealing
from app.auth.recoveries import jobs as recoveries
from app.auth.verification import online
from app.core.cipher import Cipher
from app.core.database_errors import get_sqlstate, is_database_lost
from app.core.i18n import use_locale
from app.core.metrics import Counter
from app.core.settings import Settings
from app.database.connections import Database, Role
from app.database.db import create_engine
from app.database.replica import watch_replica
from app.database.retention import CleanUp
from app.database.watch import DatabaseWatch, watch_database
from app.members import jobs as members
from app.org_loads import jobs as org_loads
from app.personal_data import jobs as personal_data
from app.queue.jobs import Busy, Job, Payload, Worker, enqueue, unpack_payload
from app.reports import jobs as reports
from app.reports.rollup.worker import run_rollup
from app.tracing.spans import export_traces, trace_job
from app.worker import interruptions, retention

log = structlog.get_logger()

JOBS: Mapping[str, Job] = {
    **audit.JOBS,
    **recoveries.JOBS,
    **online.JOBS,
    **members.JOBS,
    **org_loads.JOBS,
    **personal_data.JOBS,
    **reports.JOBS,
    **retention.JOBS,
}

MAX_CONCURRENT_JOBS = 6
"""The limit of concurrent jobs. Slow kinds have a lower limit (`Job.concurrency_limit`), so that short jobs can run."""
ATTEMPTS = 5
POLL_INTERVAL = timedelta(seconds=5)
"""The queue notifies of new jobs immediately, but not of jobs that are due for another attempt."""
JOB_FAILURES = Counter(
    "job_failures_total", "Runs of jobs that failed: `again` is tried again, `last` is not", "job", "try"
)
BUSY_PAUSE = timedelta(seconds=1)
AFTER_FAILURE = 1.0
STOP_SECONDS = 5.0
"""The time that running jobs have to end when the worker stops. Supervisors kill it after ten seconds in all."""
END_SECONDS = STOP_SECONDS + 3.0
CLOSE_SECONDS = 1.0
GIVE_BACK_SECONDS = 1.0
HEARTBEAT_TIMEOUT = timedelta(seconds=20)
"""A job without a heartbeat for this long is taken over."""


class JobFailed(Exception):
    """The last attempt of a job failed. Contains the class of the last error, without its text."""


async def run_worker(
    settings: Settings, *, until_idle: bool = False, heartbeat_timeout: timedelta = HEARTBEAT_TIMEOUT
) -> None:
    """Run jobs until cancelled. With `until_idle`, end when no job is left.

    If the database is away, the worker waits for it and starts the queue again on new connections. When cancelled, it
    takes no more jobs, gives the running ones STOP_SECONDS, and gives back to the queue those that have not ended.
    Cancelled a second time, it does so at once.
    """
    database = Database.from_settings(settings)
    async with export_traces(settings, "worker"), watch_database(database) as watch:
        queue = _QueueLoop(settings, database, watch, until_idle=until_idle, heartbeat_timeout=heartbeat_timeout)
        working = asyncio.create_task(queue.run())
        # Tests use `until_idle`, and read totals that are counted from the sources.
        tasks = {working}
        if not until_idle:
            tasks |= {asyncio.create_task(run_rollup(database)), asyncio.create_task(run_sealing(database))}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            queue.stop.set()
            for task in tasks:
                if task is not working or not queue.is_running_jobs:
                    task.cancel()
            await _end(tasks, database, queue.hurry, END_SECONDS)
            if not until_idle:
                await queue.give_back()
        working.result()


class _QueueLoop:
    """The queue, started again on new connections whenever those before were lost."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        watch: DatabaseWatch,
        *,
        until_idle: bool,
        heartbeat_timeout: timedelta,
    ) -> None:
        self.stop, self.hurry = asyncio.Event(), asyncio.Event()
        self.is_running_jobs = False
        self._settings, self._database, self._watch = settings, database, watch
        self._until_idle, self._heartbeat_timeout = until_idle, heartbeat_timeout
        self._owners: set[UUID] = set()
        """The queue managers of the past, whose jobs may still be marked as running."""

    async def run(self) -> None:
        """Run jobs until `stop`, or until no job is left. With `hurry`, running jobs are not waited for."""
        while not self.stop.is_set():
            try:
                await self._run_queue()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                if self._until_idle:
                    raise
                log.error("queue_failed", error=type(error).__name__, sqlstate=getattr(error, "sqlstate", None))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.stop.wait(), AFTER_FAILURE)
            else:
                if self._until_idle:
                    return

    async def give_back(self) -> None:
        """Give back the jobs that earlier queue managers have not ended. Without success, other workers take them over
        after their heartbeat has been silent for a time."""
        if not self._owners or self._database.is_away:
            return
        try:
            async with asyncio.timeout(GIVE_BACK_SECONDS):
                await interruptions.give_back(self._database, self._owners)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            log.warning("jobs_not_given_back", error=type(error).__name__)
        else:
            self._owners.clear()

    async def _run_queue(self) -> None:
        async with _open_queue(self._settings, self._database) as queue:
            await self.give_back()
            self._owners.add(queue.qm.queue_manager_id)
            tasks = {asyncio.create_task(self._take_jobs(queue))}
            if not self._until_idle:
                tasks.add(asyncio.create_task(queue.sm.run()))
            signals = {asyncio.create_task(self.stop.wait()), asyncio.create_task(self._watch.wait_until_aborted())}
            self.is_running_jobs = True
            try:
                await asyncio.wait(tasks | signals, return_when=asyncio.FIRST_COMPLETED)
                queue.shutdown.set()
                await _end(tasks, self._database, self.hurry, STOP_SECONDS)
            finally:
                self.is_running_jobs = False
                for task in tasks | signals:
                    task.cancel()
            for task in tasks:
                if task.done() and not task.cancelled():
                    task.result()

    async def _take_jobs(self, queue: PgQueuer) -> None:
        await queue.qm.run(
            batch_size=MAX_CONCURRENT_JOBS // 2,  # the queue's minimum for this concurrency
            max_concurrent_tasks=MAX_CONCURRENT_JOBS,
            mode=QueueExecutionMode.drain if self._until_idle else QueueExecutionMode.continuous,
            # The queue sends the first probe of its listener before it listens, so the probe is always lost.
            # Without the listener jobs are found every POLL_INTERVAL.
            shutdown_on_listener_failure=False,
            heartbeat_timeout=self._heartbeat_timeout,
            dequeue_timeout=POLL_INTERVAL,
        )


async def _end(tasks: set[asyncio.Task[None]], database: Database, hurry: asyncio.Event, seconds: float) -> None:
    """Wait until the tasks end, at most these seconds and not after `hurry`; then end them, whatever they wait for.

    They are cancelled, and if that is not enough, their connections are aborted. A cancellation of the caller sets
    `hurry`.
    """
    await _wait(tasks, hurry, seconds)
    for step in ("cancel", "abort", "cancel"):
        pending = {task for task in tasks if not task.done()}
        if not pending:
            return
        if step == "abort":
            log.warning("connections_aborted", count=database.abort_connections())
        else:
            for task in pending:
                task.cancel()
        await _wait(pending, None, 1)
    if not all(task.done() for task in tasks):
        log.error("tasks_do_not_end", count=sum(not task.done() for task in tasks))


async def _wait(tasks: set[asyncio.Task[None]], hurry: asyncio.Event | None, seconds: float) -> None:
    """Wait until all tasks end, until `hurry`, or until the time is over."""
    pending: set[asyncio.Task[Any]] = {task for task in tasks if not task.done()}
    if not pending:
        return
    all_ended = asyncio.create_task(asyncio.wait(pending))
    signal = asyncio.create_task(hurry.wait()) if hurry is not None else None
    try:
        both = {task for task in (all_ended, signal) if task is not None}
        await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        if hurry is not None:  # otherwise the end is near anyway
            hurry.set()
    finally:
        all_ended.cancel()
        if signal is not None:
            signal.cancel()


@asynccontextmanager
async def _open_queue(settings: Settings, database: Database) -> AsyncIterator[PgQueuer]:
    logging.getLogger("pgqueuer").setLevel(logging.CRITICAL)  # it logs the errors of jobs with their texts
    engine, cipher = create_engine(settings, Role.JOB, database=database), Cipher(settings)
    pool = database.create_pool(Role.QUEUE, min_size=0, max_size=4)
    try:
        async with watch_replica(settings, cipher, database, Role.JOB) as replica:
            await pool
            worker = Worker(settings, engine, cipher, replica)
            driver = AsyncpgPoolDriver(pool)
            queue = PgQueuer(driver, queries=interruptions.InterruptionQueries(driver))
            for name, job in JOBS.items():
                queue.entrypoint(name, accepts_context=False, concurrency_limit=job.concurrency_limit)(
                    _build_entrypoint(worker, name, job)
                )
            for clean_up in retention.CLEAN_UPS:
                name = retention.SCHEDULED.format(clean_up.name)
                queue.schedule(name, clean_up.schedule, accepts_context=False)(_build_schedule(worker, clean_up))
            yield queue
    finally:
        await _close(pool, engine, database)


async def _close(pool: asyncpg.Pool, engine: AsyncEngine, database: Database) -> None:
    """Close the connections, within a second also where the server is silent."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await pool.close()
            await engine.dispose()
    except TimeoutError:
        pool.terminate()
        database.abort_connections()


def _build_entrypoint(worker: Worker, name: str, job: Job) -> Callable[[QueuedJob], Awaitable[None]]:
    async def run(queued: QueuedJob) -> None:
        payload, locale, traceparent = unpack_payload(queued.payload)
        with use_locale(locale), trace_job(name, traceparent):
            try:
                await attempt(queued, payload)
            except Exception as error:
                if not is_database_lost(error):
                    raise
                log.warning("job_interrupted", job=name, error=type(error).__name__, sqlstate=get_sqlstate(error))
                raise interruptions.Interrupted(type(error).__name__) from None

    async def attempt(queued: QueuedJob, payload: Payload) -> None:
        try:
            await job.run(worker, payload)
        except Busy:
            # A new job, so that waiting does not count as a failed attempt.
            async with worker.engine.begin() as db:
                await enqueue(db, name, payload, after=BUSY_PAUSE)
        except Exception as error:
            if is_database_lost(error):
                raise
            last = queued.attempts + 1 >= ATTEMPTS
            JOB_FAILURES.add(name, "last" if last else "again")
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
