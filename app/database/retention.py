"""Clean-ups: each deletes one kind of data when it expires.

Each feature defines its `CleanUp` entries in its module `retention`. `app.worker.retention` lists them all, names the
tables that are stored for ever, and runs the entries as scheduled jobs. `docs/RETENTION.md` shows the result.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, TableClause, any_, column, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.db import Table

BATCH = 5_000


class Schedule(StrEnum):
    """How often a clean-up runs, as a cron expression (UTC)."""

    EVERY_MINUTE = "* * * * *"
    EVERY_TEN_MINUTES = "*/10 * * * *"
    HOURLY = "5 * * * *"
    DAILY = "35 18 * * *"  # 02:35 in Shanghai


@dataclass(frozen=True, slots=True)
class CleanUp:
    """One kind of data that expires.

    `tables` are the tables that lose rows or values. The data expires when `after` has passed since `since`.

    `run(db, limit)` deletes at most `limit` items in the caller's transaction and returns the number deleted. It is
    called again in a new transaction until it deletes fewer than `limit`. The process can be killed between two calls,
    and two processes can run it at the same time; both must be harmless.
    """

    name: str
    deletes: str
    tables: tuple[str, ...]
    after: timedelta
    since: str
    run: Callable[[AsyncConnection, int], Awaitable[int]]
    schedule: Schedule = Schedule.HOURLY
    batch: int = BATCH


def delete_rows(
    of: type[Table] | TableClause, where: ColumnElement[bool]
) -> Callable[[AsyncConnection, int], Awaitable[int]]:
    """Return a `CleanUp.run` that deletes the rows of one table for which `where` is true.

    It waits for no lock: the next run deletes rows that another transaction has locked.
    """
    ctid: ColumnElement[str] = column("ctid")  # the physical place of a row; it does not change while the row is locked

    async def run(db: AsyncConnection, limit: int) -> int:
        batch = select(ctid).select_from(of).where(where).limit(limit).with_for_update(skip_locked=True, of=of)
        deleted = await db.execute(delete(of).where(where, ctid == any_(func.array(batch.scalar_subquery()))))
        return deleted.rowcount

    return run
