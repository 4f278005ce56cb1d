"""Building everything that is kept anew, while the service goes on: readers see the old rows until the new ones commit.

First the rolled-up state, then day after day, a transaction each, between which cycles go on: what they add to a day
that is still to be built, they add by the rolled-up state, and the day is then built from that. Only what differs is
written. A rebuild that is ended leaves the days that it has not reached as they were; start it again. The statements
are in `sql/rebuild.sql`.
"""

from collections.abc import Callable
from datetime import date

import asyncpg

from app.reports.rollup.cycle import apply_deltas, run_cycle
from app.reports.rollup.days import USE_MEMORY, build_day
from app.reports.rollup.statements import load
from app.reports.rollup.transaction import rollup_transaction

_SQL = load("rebuild")
_DAY_ROWS = ("months", "compare_day_rows", "delete_day_rows", "insert_day_rows", "forget_point_deltas")
_STATE = (
    "forget_preparation",
    *("compare_standings", "delete_standings", "insert_standings"),
    *("compare_edges", "delete_edges", "insert_edges"),
)


async def rebuild(
    connection: asyncpg.Connection, *, day_rows: bool = False, on_day: Callable[[date], None] = lambda _: None
) -> None:
    """Make the rolled-up state and every kept day's totals and scores what the sources say.

    With `day_rows` those too, from the ledger, where its partitions have not been archived. `on_day` is called with
    each day that was built.
    """
    while await run_cycle(connection):
        pass
    async with rollup_transaction(connection):
        await connection.execute(USE_MEMORY)
        # Deltas that came since are applied in the snapshot in which the sources are read. Applied later, they would
        # change nothing more of a day that is built later, or never: the state holds their changes already.
        await apply_deltas(connection)
        for statement in (*(_DAY_ROWS if day_rows else ()), *_STATE):
            await connection.execute(_SQL[statement])
    built = date.min
    while following := await _build_next(connection, built):
        on_day(built := following)


async def rebuild_day(connection: asyncpg.Connection, day: date) -> bool:
    """Make one kept day's totals and scores what the rolled-up state says. Returns False where it is not kept."""
    async with rollup_transaction(connection):
        return await _build(connection, await connection.fetchrow(_SQL["one_day"], day)) is not None


async def _build_next(connection: asyncpg.Connection, after: date) -> date | None:
    """Build the first kept day after another and return it; None where there is none."""
    async with rollup_transaction(connection):
        return await _build(connection, await connection.fetchrow(_SQL["next_day"], after))


async def _build(connection: asyncpg.Connection, kept: asyncpg.Record | None) -> date | None:
    if kept is None:
        return None
    day: date = kept["day"]
    await build_day(connection, day, scored=kept["scored"])
    await connection.execute(_SQL["restart_preparation"], day)
    return day
