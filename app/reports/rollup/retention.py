"""When the totals and scores of past days expire.

They are stored in one partition a day, and a partition is dropped whole. Dropping it takes a lock that blocks every
reader of the table, so each is a transaction of its own, and one whose lock does not come at once waits for the next
run. The rollup writes the scores of the days that `stored_days` calls scored and the totals of all days there; neither
is dropped before `stored_days` says that the rollup is done with it.
"""

from datetime import date, timedelta

from sqlalchemy import TextClause, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.calendar import today
from app.database.retention import CleanUp, Schedule, delete_rows
from app.reports.periods import DAYS_KEPT
from app.schema.reports import ScoreStep, StoredDay

SCORES_KEPT = timedelta(days=2)
TOTALS_KEPT = timedelta(days=DAYS_KEPT)

_LOCK_TIMEOUT = "200ms"
_LOCK_NOT_AVAILABLE = "55P03"

# The first day comes from the partition's bound in the catalog and not from its name. Whatever row of pg_class the
# planner evaluates this for, also one that is no partition of this table, it is a day or NULL and raises nothing.
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
    """Drop the scores of at most `limit` days, those before yesterday; returns of how many."""
    return await _drop(db, _SCORES, today() - SCORES_KEPT, limit)


async def drop_totals(db: AsyncConnection, limit: int) -> int:
    """Drop the totals of at most `limit` days that no report reaches; returns of how many."""
    last = today() - TOTALS_KEPT - timedelta(days=1)
    # First, in the same transaction: a report never finds a day kept whose totals are gone.
    await db.execute(text("DELETE FROM stored_days WHERE day <= :last"), {"last": last})
    return await _drop(db, _TOTALS, last, limit)


async def _drop(db: AsyncConnection, partitions: TextClause, last: date, limit: int) -> int:
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


# As `drop_scores`: the rollup still writes the steps of a day that is scored.
_SCORED = select(StoredDay.day).where(StoredDay.day == ScoreStep.day, StoredDay.scored).exists()
_YESTERDAY = func.date(func.timezone("Asia/Shanghai", func.now())) - 1

CLEAN_UPS = (
    CleanUp(
        name="scores",
        deletes="scores of members by day, from which rankings are read",
        tables=("org_scores",),
        after=SCORES_KEPT,
        since="the day began",
        run=drop_scores,
        batch=1,
    ),
    CleanUp(
        name="score-steps",
        deletes="numbers of people by step of points and day",
        tables=("score_steps",),
        after=SCORES_KEPT,
        since="the day began",
        run=delete_rows(ScoreStep, (ScoreStep.day < _YESTERDAY) & ~_SCORED),
    ),
    CleanUp(
        name="totals",
        deletes="totals of orgs by day (no report goes back further)",
        tables=("org_totals", "stored_days"),
        after=TOTALS_KEPT,
        since="the day ended",
        run=drop_totals,
        schedule=Schedule.DAILY,
        batch=1,
    ),
)
