"""The rebuild of all stored totals while the service runs. Readers see the old rows until the new ones commit.

The rebuild first writes the rolled-up state, then one day after the other, each in its own transaction. Cycles run in
between. A cycle may change a day that is not rebuilt yet; it uses the rolled-up state, from which that day is then
built. Only rows that differ are written. If a rebuild is stopped, the days that it has not reached stay as they were;
start it again. The statements are in `sql/rebuild.sql`.
"""

from collections.abc import Callable
from datetime import date

import asyncpg

from app.reports.rollup.cycle import apply_deltas, run_cycle
from app.reports.rollup.days import SET_WORK_MEM, build_day
from app.reports.rollup.statements import load_statements
from app.reports.rollup.transaction import open_rollup_transaction

_SQL = load_statements("rebuild")
_REBUILD_DAY_ROWS = ("months", "compare_day_rows", "delete_day_rows", "insert_day_rows", "delete_point_deltas")
_REBUILD_STATE = (
    "delete_preparation",
    *("compare_memberships", "delete_memberships", "insert_memberships"),
    *("compare_edges", "delete_edges", "insert_edges"),
)


async def rebuild_all(
    connection: asyncpg.Connection, *, day_rows: bool = False, on_day: Callable[[date], None] = lambda _: None
) -> None:
    """Rebuild the rolled-up state from the sources, then the totals and scores of every stored day.

    With `day_rows` the day rows are rebuilt too, from the partitions of the ledger that are not archived. `on_day` is
    called with each rebuilt day.
    """
    while await run_cycle(connection):
        pass
    async with open_rollup_transaction(connection):
        await connection.execute(SET_WORK_MEM)
        # New deltas are applied in the snapshot in which the sources are read. If they were applied later, they would
        # change no total of a day that is built later or never, because the state already contains their changes.
        await apply_deltas(connection)
        for statement in (*(_REBUILD_DAY_ROWS if day_rows else ()), *_REBUILD_STATE):
            await connection.execute(_SQL[statement])
    built = date.min
    while next_day := await _build_next(connection, built):
        on_day(built := next_day)


async def rebuild_day(connection: asyncpg.Connection, day: date) -> bool:
    """Rebuild the totals and scores of one day from the rolled-up state. Return False if the day is not stored."""
    async with open_rollup_transaction(connection):
        return await _rebuild_stored_day(connection, await connection.fetchrow(_SQL["one_day"], day)) is not None


async def _build_next(connection: asyncpg.Connection, after: date) -> date | None:
    """Rebuild the first stored day that is later than `after`. Return this day, or None if there is none."""
    async with open_rollup_transaction(connection):
        return await _rebuild_stored_day(connection, await connection.fetchrow(_SQL["next_day"], after))


async def _rebuild_stored_day(connection: asyncpg.Connection, stored_day: asyncpg.Record | None) -> date | None:
    """Rebuild the day that this row of `stored_days` names, and return the day. If the row is None, do nothing and
    return None."""
    if stored_day is None:
        return None
    day: date = stored_day["day"]
    await build_day(connection, day, scored=stored_day["scored"])
    await connection.execute(_SQL["restart_preparation"], day)
    return day
