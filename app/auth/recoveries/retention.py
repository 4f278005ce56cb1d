"""Scheduled work on account recoveries: an overdue one expires, and the job of one whose wait is over starts."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from app.auth.recoveries.completion import list_due_recoveries
from app.auth.recoveries.jobs import COMPLETE
from app.auth.recovery_states import expire_recoveries
from app.database.retention import CleanUp, Schedule
from app.queue.jobs import enqueue_once


async def enqueue_due_recoveries(db: AsyncConnection, limit: int) -> int:
    """Enqueue a job for each recovery whose wait is over, unless one is waiting or running. Return 0: the recoveries
    are changed by the jobs."""
    for recovery_id in await list_due_recoveries(db, limit):
        await enqueue_once(db, COMPLETE, {"recovery_id": str(recovery_id)}, key=f"{COMPLETE}:{recovery_id}")
    return 0


CLEAN_UPS = (
    CleanUp(
        name="account-recoveries",
        deletes="the new phone of a recovery whose name was not proved; the recovery stays, as expired",
        tables=("account_recoveries",),
        after=timedelta(0),
        since="the time for the proof is over",
        run=expire_recoveries,
        schedule=Schedule.EVERY_TEN_MINUTES,
        batch=500,
    ),
    CleanUp(
        name="due-account-recoveries",
        deletes="nothing: it starts the jobs that give recovered accounts their new phone",
        tables=(),
        after=timedelta(0),
        since="the 72 hours of a recovery are over",
        run=enqueue_due_recoveries,
        schedule=Schedule.EVERY_TEN_MINUTES,
        batch=500,
    ),
)
