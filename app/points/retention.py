"""When keys of point events expire. The ledger itself is archived by command (`archive`)."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.calendar import today
from app.database.partitions import drop_partitions
from app.database.retention import CleanUp, Schedule
from app.points.keys import REMEMBERED_DAYS


async def drop_keys(db: AsyncConnection, limit: int) -> int:
    """Drop at most `limit` periods whose events can no longer come again. Return the number of periods."""
    return await drop_partitions(db, "point_event_keys", today() - timedelta(days=REMEMBERED_DAYS), limit)


CLEAN_UPS = (
    CleanUp(
        name="point-event-keys",
        deletes="keys of counted point events, in periods of 16 days; the events stay",
        tables=("point_event_keys",),
        after=timedelta(days=REMEMBERED_DAYS),
        since="the period of 16 days in which the event arrived ended",
        run=drop_keys,
        schedule=Schedule.DAILY,
        batch=1,
    ),
)
