"""One cycle: all deltas that wait, in one transaction; and building the days that are missing (`sql/cycle.sql`)."""

from collections.abc import Awaitable, Callable
from datetime import date, timedelta

import asyncpg

from app.reports.periods import DAYS_KEPT
from app.reports.rollup.days import keep_day
from app.reports.rollup.edges import apply_edges
from app.reports.rollup.members import apply_members
from app.reports.rollup.next_day import prepare_slice
from app.reports.rollup.points import apply_points
from app.reports.rollup.propagation import EARNED, propagate, stage_memberships
from app.reports.rollup.score_steps import apply_score_steps
from app.reports.rollup.statements import load
from app.reports.rollup.transaction import rollup_transaction

SMALL_INSTALLATION = 100_000
"""An installation of this many member rows or fewer has all of its past days built from the start."""

_SQL = load("cycle")


async def run_cycle(connection: asyncpg.Connection) -> bool:
    """Apply the deltas that wait. Returns whether there were any; call again while it does.

    Holds the rollup's lock (`rollup_transaction`). A kill leaves all of the cycle or nothing.
    """
    if not await connection.fetchval(_SQL["waiting"]):
        return False
    async with rollup_transaction(connection):
        await apply_deltas(connection)
    return True


async def apply_deltas(connection: asyncpg.Connection) -> None:
    """Apply the deltas that wait in the snapshot of this rollup transaction."""
    earned = await apply_points(connection)
    if earned:
        await stage_memberships(connection, EARNED)
    changed = await apply_members(connection)
    if earned or changed:
        await apply_score_steps(connection)
        await propagate(connection)
    await apply_edges(connection)


async def _nothing() -> None:
    pass


async def build_missing_days(
    connection: asyncpg.Connection,
    today: date,
    *,
    tomorrow: bool,
    between: Callable[[], Awaitable[object]] = _nothing,
) -> None:
    """Build and keep every day from the last one kept up to today, or up to tomorrow; from today on with scores.

    Where no day is kept yet, today is the first, or in a small installation the first day that has people. Each day is
    one transaction, tomorrow is many, and `between` is called after each: cycles go on meanwhile.
    """
    last = today + timedelta(days=1) if tomorrow else today
    while await _build_next(connection, today, last):
        await between()


async def _build_next(connection: asyncpg.Connection, today: date, last: date) -> bool:
    """Build the next day that is missing, or a slice of it. Returns whether there was one."""
    async with rollup_transaction(connection):
        missing = await _missing_days(connection, today, last)
        if not missing:
            await connection.execute(_SQL["past_days_have_no_scores"], today)
            return False
        day = missing[0]
        begun = await connection.fetchval(_SQL["is_begun"], day)
        if not ((begun or day > today) and await prepare_slice(connection, day)):
            await keep_day(connection, day, scored=day >= today)
    return True


async def _missing_days(connection: asyncpg.Connection, today: date, last: date) -> list[date]:
    newest: date | None = await connection.fetchval(_SQL["newest_kept"])
    first = today if newest is None else newest + timedelta(days=1)
    if newest is None and await connection.fetchval(_SQL["people"], SMALL_INSTALLATION + 1) <= SMALL_INSTALLATION:
        earliest: date | None = await connection.fetchval(_SQL["first_day_with_people"])
        first = min(earliest or today, today)
    first = max(first, today - timedelta(days=DAYS_KEPT - 1))
    return [first + timedelta(days=ahead) for ahead in range((last - first).days + 1)]
