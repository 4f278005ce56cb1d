"""Jobs that were interrupted: by a lost connection to the database, or because their worker stops.

They have not failed. They go back to the queue, without counting as an attempt, and run again a little later. The
queue's own way would be to record them as failed or cancelled and to delete them.
"""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.models import Job, TracebackRecord
from pgqueuer.domain.types import JOB_STATUS

from app.core.database_errors import is_database_lost
from app.database.connections import Database, Role

GIVEN_BACK_AFTER = timedelta(seconds=2)

_GIVE_BACK = """
UPDATE {queue}
SET status = 'queued', execute_after = now() + ${delay}::interval, updated = now(), queue_manager_id = NULL
WHERE status = 'picked' AND queue_manager_id = ANY($1::uuid[])
"""


class Interrupted(Exception):
    """The job cannot go on, because the database is away. Contains the class of the error, without its text."""


class InterruptionQueries(Queries):
    """The statements of the queue, which give an interrupted job back in place of recording it as ended."""

    async def log_jobs(self, job_status: list[tuple[Job, JOB_STATUS, TracebackRecord | None]]) -> None:
        """Record jobs as ended, and give interrupted ones back."""
        ended: list[tuple[Job, JOB_STATUS, TracebackRecord | None]] = []
        interrupted: list[tuple[Job, JOB_STATUS, TracebackRecord | None]] = []
        for item in job_status:
            _, status, record = item
            is_interrupted = record is not None and record.exception_type == Interrupted.__name__
            (interrupted if status == "canceled" or is_interrupted else ended).append(item)
        if ended:
            await super().log_jobs(ended)
        if interrupted:
            statement = _GIVE_BACK.format(queue=self.qbq.qualified.queue_table, delay=2) + " AND id = ANY($3::bigint[])"
            jobs = [job for job, _, _ in interrupted]
            owners = list({job.queue_manager_id for job in jobs})
            await self.driver.execute(statement, owners, GIVEN_BACK_AFTER, [job.id for job in jobs])

    async def retry_job(self, job: Job, delay: timedelta, traceback_record: TracebackRecord | None) -> None:
        """Put a failed job back for another attempt. Raises Interrupted if the database is away."""
        try:
            await super().retry_job(job, delay, traceback_record)
        except Exception as error:
            if is_database_lost(error):
                raise Interrupted(type(error).__name__) from None
            raise


async def give_back(database: Database, owners: Iterable[UUID]) -> None:
    """Give back all jobs that these queue managers of this process have taken and not ended.

    Raises ConnectionError and asyncpg's errors.
    """
    connection = await database.connect(Role.QUEUE)
    try:
        await connection.execute(_GIVE_BACK.format(queue="pgqueuer", delay=2), list(owners), GIVEN_BACK_AFTER)
    finally:
        connection.terminate()
