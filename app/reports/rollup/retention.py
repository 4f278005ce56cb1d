"""The retention of totals and scores of past days.

Each day has one partition, and a partition is dropped whole, in a transaction of its own. The rollup writes the totals
of all days in `stored_days` and the scores of those that are marked as scored there; neither is dropped while
`stored_days` shows that the rollup still writes it.
"""

from datetime import timedelta

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.calendar import today
from app.database.partitions import drop_partitions
from app.database.retention import CleanUp, Schedule, delete_rows
from app.queue.jobs import enqueue_once
from app.reports.periods import RETENTION_DAYS
from app.schema.reports import ScoreStep, StoredDay

CHECK_TOTALS = "check_totals"
"""The job that compares the stored totals with a recount (`app.reports.jobs`)."""

SCORE_RETENTION = timedelta(days=2)
TOTAL_RETENTION = timedelta(days=RETENTION_DAYS)
_DAY = timedelta(days=1)

_IS_STORED = "EXISTS (SELECT FROM stored_days AS s WHERE s.day >= p.since AND s.day < p.before AND {which})"
_IS_SCORED = _IS_STORED.format(which="s.scored")
_HAS_TOTALS = _IS_STORED.format(which="true")


async def drop_scores(db: AsyncConnection, limit: int) -> int:
    """Drop the scores of at most `limit` days before yesterday. Return the number of days."""
    return await drop_partitions(db, "org_scores", today() - SCORE_RETENTION + _DAY, limit, in_use=_IS_SCORED)


async def drop_totals(db: AsyncConnection, limit: int) -> int:
    """Drop the totals of at most `limit` days that no report can show. Return the number of days."""
    last = today() - TOTAL_RETENTION - timedelta(days=1)
    # This comes first, in the same transaction, so that a report never finds a stored day whose totals are dropped.
    await db.execute(text("DELETE FROM stored_days WHERE day <= :last"), {"last": last})
    return await drop_partitions(db, "org_totals", last + _DAY, limit, in_use=_HAS_TOTALS)


async def request_totals_check(db: AsyncConnection, _: int) -> int:
    """Add the job that compares the totals, unless it waits or runs. Return 0: nothing is deleted."""
    await enqueue_once(db, CHECK_TOTALS, {}, key=CHECK_TOTALS)
    return 0


# The rollup still writes the steps of a day that is marked as scored, as with `drop_scores`.
_SCORED = select(StoredDay.day).where(StoredDay.day == ScoreStep.day, StoredDay.scored).exists()
_YESTERDAY = func.date(func.timezone("Asia/Shanghai", func.now())) - 1

CLEAN_UPS = (
    CleanUp(
        name="scores",
        deletes="scores of members by day, from which rankings are read",
        tables=("org_scores",),
        after=SCORE_RETENTION,
        since="the day began",
        run=drop_scores,
        batch=1,
    ),
    CleanUp(
        name="score-steps",
        deletes="numbers of people by step of points and day",
        tables=("score_steps",),
        after=SCORE_RETENTION,
        since="the day began",
        run=delete_rows(ScoreStep, (ScoreStep.day < _YESTERDAY) & ~_SCORED),
    ),
    CleanUp(
        name="totals",
        deletes="totals of orgs by day (no report goes back further)",
        tables=("org_totals", "stored_days"),
        after=TOTAL_RETENTION,
        since="the day ended",
        run=drop_totals,
        schedule=Schedule.DAILY,
        batch=1,
    ),
    CleanUp(
        name="totals-check",
        deletes="nothing: it starts the job that compares the stored totals of two days with a recount",
        tables=(),
        after=timedelta(0),
        since="a day has ended",
        run=request_totals_check,
        schedule=Schedule.DAILY,
    ),
)
