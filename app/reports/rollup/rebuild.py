"""Building all that is kept anew, while the service goes on: readers see what was until the new is committed.

First the folded state, then day after day, a transaction each, between which the folder folds on: what it adds to a
day that is still to be built it adds by the folded state, and the day is then built from that. Only what differs is
written. A rebuild that is ended leaves the days that it has not come to as they were; start it again.
"""

from collections.abc import Callable
from datetime import date

import asyncpg

from app.reports.rollup import sources
from app.reports.rollup.cycle import ALONE, fold, fold_all
from app.reports.rollup.days import MEMORY, build_day
from app.reports.rollup.scratch import made_equal, make_scratch

_MONTHS = """
SELECT make_partition('user_days', month, (month + interval '1 month')::date)
FROM (SELECT DISTINCT date_trunc('month', day)::date AS month FROM point_events) AS months
"""

_DAY_ROWS = (
    """
    CREATE TEMP TABLE fresh_days ON COMMIT DROP AS
    SELECT user_id, day, sum(points)::bigint AS points, count(*)::int AS events FROM point_events GROUP BY user_id, day
    """,
    *made_equal(
        "user_days",
        "user_id, day",
        "user_id, day, points, events",
        "fresh_days",
        of="t.day >= (SELECT min(day) FROM point_events)",
    ),
    "DELETE FROM point_facts",
)

_STANDING, _EDGE = "org_id, member_id, since, before, person, activated", "subordinate_id, since, before, superior_id"
_STATE = (
    "DELETE FROM prepared_days",
    f"CREATE TEMP TABLE fresh_standings ({_STANDING}) ON COMMIT DROP AS {sources.standings()}",
    *made_equal("standings", "org_id, member_id, since", _STANDING, "fresh_standings"),
    f"CREATE TEMP TABLE fresh_edges ON COMMIT DROP AS {sources.edges()}",
    *made_equal("tree_edges", "subordinate_id, since", _EDGE, "fresh_edges"),
)

_NEXT = "SELECT day, scored FROM kept_days WHERE day > $1 ORDER BY day LIMIT 1"


async def rebuild(
    connection: asyncpg.Connection, *, day_rows: bool = False, on_day: Callable[[date], None] = lambda _: None
) -> None:
    """Make the folded state and every kept day's totals and scores what the sources say.

    With `day_rows` those too, from the ledger, where its partitions have not been put away.
    """
    while await fold(connection):
        pass
    await make_scratch(connection)
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute(ALONE)
        await connection.execute(MEMORY)
        # What came since is folded in the snapshot in which the sources are looked at, or its facts, whose changes are
        # in them, would change nothing more of days that are built later, or never.
        await fold_all(connection)
        if day_rows:
            await connection.execute(_MONTHS)
        for statement in (*(_DAY_ROWS if day_rows else ()), *_STATE):
            await connection.execute(statement)
    built = date.min
    while following := await _build_next(connection, built):
        on_day(built := following)


async def _build_next(connection: asyncpg.Connection, after: date) -> date | None:
    """Build the first kept day after another and give it; None where there is none: tomorrow may be kept meanwhile."""
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute(ALONE)
        kept = await connection.fetchrow(_NEXT, after)
        if kept is None:
            return None
        day: date = kept["day"]
        await build_day(connection, day, scored=kept["scored"])
        # The day that comes is prepared from this one: what has begun as a copy of what it was begins again.
        await connection.execute("DELETE FROM prepared_days WHERE day = $1::date + 1", day)
    return day
