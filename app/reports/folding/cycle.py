"""One fold: everything that waits, in one transaction; and the days that are to be kept."""

from datetime import date, timedelta

import asyncpg

from app.reports.folding.days import keep_day
from app.reports.folding.edges import fold_edges
from app.reports.folding.people import fold_people
from app.reports.folding.points import fold_points
from app.reports.folding.scratch import make_scratch
from app.reports.folding.spread import spread
from app.reports.periods import DAYS_KEPT

# An installation of this many people or fewer has all of its past days kept from the start.
FEW = 100_000

# Of two folders one waits for the other. Taken before anything is looked at: a statement that looks would fix the
# transaction's snapshot, and the lock could come with a snapshot from before what the other folder committed.
ALONE = "LOCK TABLE kept_days IN EXCLUSIVE MODE"

_WAITING = """
SELECT EXISTS (SELECT FROM point_facts) OR EXISTS (SELECT FROM place_facts) OR EXISTS (SELECT FROM edge_facts)
"""


async def fold(connection: asyncpg.Connection) -> bool:
    """Fold what waits. Gives whether there was anything; call again while it does."""
    if not await connection.fetchval(_WAITING):
        return False
    await make_scratch(connection)
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute(ALONE)
        earned = await fold_points(connection)
        changed = await fold_people(connection)
        if earned or changed:
            await spread(connection)
        await fold_edges(connection)
    return True


async def keep_days(connection: asyncpg.Connection, today: date, *, tomorrow: bool) -> None:
    """Keep every day from the last one kept up to today, or up to tomorrow; from today on with scores.

    Where no day is kept yet it begins today, and in a small installation with the first day that has people.
    """
    last = today + timedelta(days=1) if tomorrow else today
    await make_scratch(connection)
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute(ALONE)
        for day in await _missing(connection, today, last):
            await keep_day(connection, day, scored=day >= today)
        await connection.execute("UPDATE kept_days SET scored = false WHERE scored AND day < $1", today)


async def _missing(connection: asyncpg.Connection, today: date, last: date) -> list[date]:
    newest: date | None = await connection.fetchval("SELECT max(day) FROM kept_days")
    first = today if newest is None else newest + timedelta(days=1)
    if newest is None:
        people = await connection.fetchval("SELECT count(*) FROM (SELECT FROM standings LIMIT $1) AS people", FEW + 1)
        if people <= FEW:
            earliest: date | None = await connection.fetchval("SELECT min(since) FROM standings")
            first = min(earliest or today, today)
    first = max(first, today - timedelta(days=DAYS_KEPT - 1))
    return [first + timedelta(days=ahead) for ahead in range((last - first).days + 1)]
