"""One fold: everything that waits, in one transaction; and the days that are to be kept."""

from collections.abc import Awaitable, Callable
from datetime import date, timedelta

import asyncpg

from app.reports.periods import DAYS_KEPT
from app.reports.rollup.coming import prepare
from app.reports.rollup.days import keep_day
from app.reports.rollup.edges import fold_edges
from app.reports.rollup.people import fold_people
from app.reports.rollup.points import fold_points
from app.reports.rollup.scratch import make_scratch, note_days
from app.reports.rollup.spread import spread

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
        await fold_all(connection)
    return True


async def fold_all(connection: asyncpg.Connection) -> None:
    """Fold what the transaction sees waiting; it holds ALONE, and the session has its scratch tables."""
    await note_days(connection)
    earned = await fold_points(connection)
    changed = await fold_people(connection)
    if earned or changed:
        await spread(connection)
    await fold_edges(connection)


async def _nothing() -> None:
    pass


async def keep_days(
    connection: asyncpg.Connection,
    today: date,
    *,
    tomorrow: bool,
    meanwhile: Callable[[], Awaitable[object]] = _nothing,
) -> None:
    """Keep every day from the last one kept up to today, or up to tomorrow; from today on with scores.

    Where no day is kept yet it begins today, and in a small installation with the first day that has people. Each day
    is a transaction and tomorrow many, between which `meanwhile` is called: folding is not held up.
    """
    last = today + timedelta(days=1) if tomorrow else today
    await make_scratch(connection)
    while await _keep_on(connection, today, last):
        await meanwhile()


async def _keep_on(connection: asyncpg.Connection, today: date, last: date) -> bool:
    """Keep the next day that is missing, or a slice of it; gives whether there was one."""
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute(ALONE)
        missing = await _missing(connection, today, last)
        if not missing:
            await connection.execute("UPDATE kept_days SET scored = false WHERE scored AND day < $1", today)
            return False
        await note_days(connection)
        day = missing[0]
        begun = await connection.fetchval("SELECT EXISTS (SELECT FROM prepared_days WHERE day = $1)", day)
        if not ((begun or day > today) and await prepare(connection, day)):
            await keep_day(connection, day, scored=day >= today)
    return True


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
