"""Retention of the queue's log and statistics. The queue itself deletes a job when it ends."""

from datetime import timedelta

from sqlalchemy import Boolean, DateTime, column, func, table

from app.database.retention import CleanUp, Schedule, delete_rows

LOG_RETENTION = timedelta(days=30)
STATISTICS_RETENTION = timedelta(days=365)


_LOG = table("pgqueuer_log", column("created", DateTime(timezone=True)), column("aggregated", Boolean))
_STATISTICS = table("pgqueuer_statistics", column("created", DateTime(timezone=True)))

CLEAN_UPS = (
    CleanUp(
        name="queue-log",
        deletes="the queue's log of jobs",
        tables=("pgqueuer_log",),
        after=LOG_RETENTION,
        since="the entry was written",
        run=delete_rows(_LOG, (_LOG.c.created < func.now() - LOG_RETENTION) & _LOG.c.aggregated),
        schedule=Schedule.DAILY,
    ),
    CleanUp(
        name="queue-statistics",
        deletes="the queue's counts of jobs by second",
        tables=("pgqueuer_statistics",),
        after=STATISTICS_RETENTION,
        since="the second was counted",
        run=delete_rows(_STATISTICS, _STATISTICS.c.created < func.now() - STATISTICS_RETENTION),
        schedule=Schedule.DAILY,
    ),
)
