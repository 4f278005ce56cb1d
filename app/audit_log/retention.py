"""The retention of outgoing events, and the partitions of coming months."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.calendar import today
from app.database.partitions import create_monthly_partitions, drop_partitions
from app.database.retention import CleanUp, Schedule

EVENT_RETENTION = timedelta(days=90)
FUTURE = timedelta(days=186)
"""How far ahead the partitions exist. Without the partition of its month no operation could be recorded, so a worker
that has stopped must not matter for months."""


async def drop_events(db: AsyncConnection, limit: int) -> int:
    """Drop at most `limit` months of outgoing events that ended before the retention. Return the number of months."""
    return await drop_partitions(db, "outgoing_events", today() - EVENT_RETENTION, limit)


async def create_partitions(db: AsyncConnection, limit: int) -> int:
    """Create the partitions of audit entries and outgoing events for the coming months. Return 0."""
    for table in ("audit_entries", "outgoing_events"):
        await create_monthly_partitions(db, table, today(), today() + FUTURE)
    return 0


CLEAN_UPS = (
    CleanUp(
        name="outgoing-events",
        deletes="outgoing events, in months",
        tables=("outgoing_events",),
        after=EVENT_RETENTION,
        since="the month in which the event was written ended",
        run=drop_events,
        schedule=Schedule.DAILY,
        batch=1,
    ),
    CleanUp(
        name="coming-months",
        deletes="nothing: it creates the partitions of audit entries and outgoing events for the coming six months",
        tables=(),
        after=timedelta(0),
        since="a month comes near",
        run=create_partitions,
        schedule=Schedule.DAILY,
    ),
)
