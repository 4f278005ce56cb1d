"""The daily verification of the audit, as an entry of the scheduled clean-ups. It deletes nothing."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.retention import CleanUp, Schedule
from app.queue.jobs import enqueue_once

CHECK_AUDIT = "check_audit"
"""The job that verifies a part of the audit (`app.audit.jobs`)."""


async def request_audit_check(db: AsyncConnection, _: int) -> int:
    """Add the job that verifies the audit, unless it waits or runs. Return 0: nothing is deleted."""
    await enqueue_once(db, CHECK_AUDIT, {}, key=CHECK_AUDIT)
    return 0


CLEAN_UPS = (
    CleanUp(
        name="audit-check",
        deletes="nothing: it starts the job that verifies the newest seals of the audit and a part of the older ones",
        tables=(),
        after=timedelta(0),
        since="a day has ended",
        run=request_audit_check,
        schedule=Schedule.DAILY,
    ),
)
