"""The retention of totals and scores of past days.

Each day has one partition, and a partition is dropped whole. The drop takes a lock that blocks every reader of the
table, so each partition has its own transaction, and a partition that cannot be locked at once is left for the next
run. The rollup writes the totals of all days in `stored_days` and the scores of those that are marked as scored there;
neither is dropped while `stored_days` shows that the rollup still writes it.
"""

from datetime import date, timedelta

from sqlalchemy import TextClause, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.calendar import today
from app.database.retention import CleanUp, Schedule, delete_rows
from app.reports.periods import RETENTION_DAYS
from app.schema.reports import ScoreStep, StoredDay

SCORE_RETENTION = timedelta(days=2)
TOTAL_RETENTION = timedelta(days=RETENTION_DAYS)

_LOCK_TIMEOUT = "200ms"
_LOCK_NOT_AVAILABLE = "55P03"

# The day comes from the partition's bound in the catalog and not from its name. The planner may evaluate this
# expression for any row of pg_class, also for a table that is no partition: it then returns NULL and raises no error.
_PARTITIONS = """
SELECT name FROM (
    SELECT CAST(CAST(c.oid AS regclass) AS text) AS name,
        CAST(
            substring(pg_get_expr(c.relpartbound, c.oid) FROM $re$^FOR VALUES FROM \\('(\\d{{4}}-\\d\\d-\\d\\d)'\\)$re$)
            AS date
        ) AS day
    FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = CAST('{table}' AS regclass)
) AS partitions
WHERE day <= :last AND NOT EXISTS (SELECT FROM stored_days WHERE stored_days.day = partitions.day AND {in_use})
ORDER BY day LIMIT :limit
"""
_SCORES = text(_PARTITIONS.format(table="org_scores", in_use="stored_days.scored"))
_TOTALS = text(_PARTITIONS.format(table="org_totals", in_use="true"))


async def drop_scores(db: AsyncConnection, limit: int) -> int:
    """Drop the scores of at most `limit` days before yesterday. Return the number of days."""
    return await _drop_partitions(db, _SCORES, today() - SCORE_RETENTION, limit)


async def drop_totals(db: AsyncConnection, limit: int) -> int:
    """Drop the totals of at most `limit` days that no report can show. Return the number of days."""
    last = today() - TOTAL_RETENTION - timedelta(days=1)
    # This comes first, in the same transaction, so that a report never finds a stored day whose totals are dropped.
    await db.execute(text("DELETE FROM stored_days WHERE day <= :last"), {"last": last})
    return await _drop_partitions(db, _TOTALS, last, limit)


async def _drop_partitions(db: AsyncConnection, partitions: TextClause, last: date, limit: int) -> int:
    """Drop at most `limit` partitions of days up to `last`. Skip a locked partition. Return the number dropped."""
    names = list(await db.scalars(partitions, {"last": last, "limit": limit}))
    dropped = 0
    for name in names:
        try:
            async with db.begin_nested():
                await db.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"))
                await db.execute(text(f"DROP TABLE {name}"))
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            continue
        dropped += 1
    return dropped


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
)
