"""Building all that is kept anew, while the service goes on: readers see what was until the new is committed."""

from collections.abc import Callable
from datetime import date

import asyncpg

from app.reports.folding import sources
from app.reports.folding.cycle import ALONE, fold
from app.reports.folding.days import MEMORY, build_day

_DAY_ROWS = (
    "DELETE FROM user_days WHERE day >= (SELECT min(day) FROM point_events)",
    """
    INSERT INTO user_days (user_id, day, points, events)
    SELECT user_id, day, sum(points), count(*) FROM point_events GROUP BY user_id, day
    """,
    "DELETE FROM point_facts",
)

_MONTHS = """
SELECT make_partition('user_days', month, (month + interval '1 month')::date)
FROM (SELECT DISTINCT date_trunc('month', day)::date AS month FROM point_events) AS months
"""

_STATE = (
    "DELETE FROM place_facts",
    "DELETE FROM edge_facts",
    "DELETE FROM prepared_days",
    "DELETE FROM standings",
    f"INSERT INTO standings (org_id, member_id, since, before, person, activated) {sources.standings()}",
    "DELETE FROM tree_edges",
    f"INSERT INTO tree_edges (subordinate_id, since, before, superior_id) {sources.edges()}",
)


async def rebuild(
    connection: asyncpg.Connection, *, day_rows: bool = False, on_day: Callable[[date], None] = lambda _: None
) -> None:
    """Build the folded state and every kept day's totals and scores from the sources, in one transaction.

    With `day_rows` those too, from the ledger, where its partitions have not been put away. Facts that the
    transaction sees are in the sources it reads; those that come meanwhile are folded after it.
    """
    while await fold(connection):
        pass
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute(ALONE)
        await connection.execute(MEMORY)
        if day_rows:
            await connection.execute(_MONTHS)
        for statement in (*(_DAY_ROWS if day_rows else ()), *_STATE):
            await connection.execute(statement)
        for kept in await connection.fetch("SELECT day, scored FROM kept_days ORDER BY day"):
            await build_day(connection, kept["day"], scored=kept["scored"])
            on_day(kept["day"])
