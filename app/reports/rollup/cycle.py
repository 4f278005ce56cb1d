"""The cycle, which applies all waiting deltas in one transaction, and the build of missing days (`sql/cycle.sql`)."""

from collections.abc import Awaitable, Callable
from datetime import date, timedelta

import asyncpg

from app.reports.periods import RETENTION_DAYS
from app.reports.rollup.days import store_day
from app.reports.rollup.edges import apply_edges
from app.reports.rollup.members import apply_members
from app.reports.rollup.next_day import prepare_slice
from app.reports.rollup.points import apply_points
from app.reports.rollup.propagation import EARNED, propagate_changes, stage_memberships
from app.reports.rollup.score_steps import apply_score_steps
from app.reports.rollup.statements import load_statements
from app.reports.rollup.transaction import open_rollup_transaction

SMALL_INSTALLATION = 100_000
"""In an installation with at most this many member rows, the first build includes all past days."""

_SQL = load_statements("cycle")


async def run_cycle(connection: asyncpg.Connection) -> bool:
    """Apply waiting deltas in one transaction. Return True if there were deltas: more may wait, so call this function
    again. Return False if no delta waited.

    Takes the lock of the rollup (`open_rollup_transaction`). If the process is killed, either the whole cycle is
    committed or nothing of it.
    """
    if not await connection.fetchval(_SQL["has_deltas"]):
        return False
    async with open_rollup_transaction(connection):
        await apply_deltas(connection)
    return True


async def apply_deltas(connection: asyncpg.Connection) -> None:
    """Apply the deltas that the snapshot of the open rollup transaction contains."""
    earned = await apply_points(connection)
    if earned:
        await stage_memberships(connection, EARNED)
    changed = await apply_members(connection)
    if earned or changed:
        await apply_score_steps(connection)
        await propagate_changes(connection)
    await apply_edges(connection)


async def _do_nothing() -> None:
    pass


async def build_missing_days(
    connection: asyncpg.Connection,
    today: date,
    *,
    tomorrow: bool,
    after_each: Callable[[], Awaitable[object]] = _do_nothing,
) -> None:
    """Build and store every day after the last stored day, up to today, or with `tomorrow` up to tomorrow.

    Today and tomorrow get scores too. If no day is stored yet, the first built day is today, or in a small installation
    the first day that has people. Each day is built in one transaction, except tomorrow, which is built in many slices.
    `after_each` is called after each transaction, so that cycles can run in between.
    """
    last = today + timedelta(days=1) if tomorrow else today
    while await _build_next(connection, today, last):
        await after_each()


async def _build_next(connection: asyncpg.Connection, today: date, last: date) -> bool:
    """Build the totals of the next missing day, or one slice of them. Return False if no day is missing."""
    async with open_rollup_transaction(connection):
        missing = await _list_missing_days(connection, today, last)
        if not missing:
            await connection.execute(_SQL["unmark_past_scores"], today)
            return False
        day = missing[0]
        has_preparation = await connection.fetchval(_SQL["has_preparation"], day)
        if not ((has_preparation or day > today) and await prepare_slice(connection, day)):
            await store_day(connection, day, scored=day >= today)
    return True


async def _list_missing_days(connection: asyncpg.Connection, today: date, last: date) -> list[date]:
    newest: date | None = await connection.fetchval(_SQL["newest_stored_day"])
    first = today if newest is None else newest + timedelta(days=1)
    if newest is None and await connection.fetchval(_SQL["count_people"], SMALL_INSTALLATION + 1) <= SMALL_INSTALLATION:
        earliest: date | None = await connection.fetchval(_SQL["first_day_with_people"])
        first = min(earliest or today, today)
    first = max(first, today - timedelta(days=RETENTION_DAYS - 1))
    return [first + timedelta(days=ahead) for ahead in range((last - first).days + 1)]
