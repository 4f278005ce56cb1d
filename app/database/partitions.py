"""Partitions: created for coming days by the database function `make_partition`, and dropped whole when they expire.

Both functions of the database are the only statements that create or drop a partition. `make_partition` finds one that
exists, or one that another transaction is creating, and then does nothing.
"""

from datetime import date

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

_LOCK_TIMEOUT = "200ms"
_LOCK_NOT_AVAILABLE = "55P03"

_EXPIRED = """
SELECT p.name FROM list_partitions(:parent) AS p WHERE p.before <= :until AND NOT ({in_use})
ORDER BY p.before LIMIT :limit
"""
_DROP = text("SELECT drop_partition(:parent, :name)")


async def drop_partitions(db: AsyncConnection, parent: str, until: date, limit: int, *, in_use: str = "false") -> int:
    """Drop at most `limit` partitions of `parent` whose days are all before `until`. Return the number dropped.

    `in_use` is an SQL condition over the partition `p` (`p.since`, `p.before`) that protects it. A drop takes a lock
    that blocks every reader of the table, so each partition should have a transaction of its own, and a partition that
    cannot be locked within 200 ms is left for the next run.
    """
    expired = text(_EXPIRED.format(in_use=in_use))
    names = list(await db.scalars(expired, {"parent": parent, "until": until, "limit": limit}))
    dropped = 0
    for name in names:
        try:
            async with db.begin_nested():
                await db.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"))
                await db.execute(_DROP, {"parent": parent, "name": name})
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            continue
        dropped += 1
    return dropped


_CREATE_MONTHS = text("""
SELECT make_partition(:parent, month::date, (month + interval '1 month')::date)
FROM generate_series(
    date_trunc('month', CAST(:since AS date)), date_trunc('month', CAST(:until AS date)), interval '1 month'
) AS month
""")


async def create_monthly_partitions(db: AsyncConnection, parent: str, since: date, until: date) -> None:
    """Create the partitions of `parent` for the months from that of `since` to that of `until`."""
    await db.execute(_CREATE_MONTHS, {"parent": parent, "since": since, "until": until})
