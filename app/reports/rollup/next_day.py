"""The preparation of the next day from the previous one, slice by slice, so that cycles can run between slices.

The day begins as a copy of the previous day. Then the slices process the people in the order of their ids: points that
leave a window are subtracted, and points of the day itself are added. People not yet processed have the windows of the
previous day, and zero in the window of one day. The scores follow, org by org. At every moment the written figures are
exact for the processed part, and deltas are applied to them as to stored days. No report reads the day before it is
stored. The statements are in `sql/next_day.sql`.
"""

from datetime import date
from uuid import UUID

import asyncpg

from app.reports.rollup import days
from app.reports.rollup.propagation import EARNED, propagate_changes, stage_memberships
from app.reports.rollup.score_steps import SMALLEST_ID, build_score_steps, clear_score_steps
from app.reports.rollup.statements import load_statements

PEOPLE_PER_SLICE = 25_000
SCORES_PER_SLICE = 25_000
"""Each slice takes a fraction of a second."""

_SQL = load_statements("next_day")


async def prepare_slice(connection: asyncpg.Connection, day: date) -> bool:
    """Prepare the next slice of a day. The last slice records the day as stored.

    Return False if the day cannot be prepared as a copy of the previous day (statement `can_copy`).
    """
    progress = await connection.fetchrow(_SQL["progress"], day)
    if progress is None:
        return await _begin_preparation(connection, day)
    if progress["people_before"] is not None:
        await _prepare_people(connection, day, progress["people_before"])
    elif progress["orgs_before"] is not None:
        await _prepare_scores(connection, day, progress["orgs_before"])
    return True


async def _begin_preparation(connection: asyncpg.Connection, day: date) -> bool:
    if not await connection.fetchval(_SQL["can_copy"], day):
        return False
    await days.create_partitions(connection, day, scored=True)
    for statement in ("clear_totals", "clear_scores"):
        await connection.execute(_SQL[statement], day)
    await clear_score_steps(connection, day)
    await connection.execute(_SQL["copy_totals"], day)
    await connection.execute(_SQL["delete_preparation"])
    await connection.execute(_SQL["begin"], day, SMALLEST_ID)
    return True


async def _prepare_people(connection: asyncpg.Connection, day: date, first: UUID) -> None:
    next_id = await connection.fetchval(_SQL["slice_of_people"], first, PEOPLE_PER_SLICE)
    await connection.execute(_SQL["stage_changes"], day, first, next_id)
    await stage_memberships(connection, EARNED)
    await propagate_changes(connection)
    await connection.execute(_SQL["finish_people"], day, next_id)


async def _prepare_scores(connection: asyncpg.Connection, day: date, first: UUID) -> None:
    next_id = await connection.fetchval(_SQL["slice_of_orgs"], first, SCORES_PER_SLICE)
    await connection.execute(_SQL["insert_scores"], day, first, next_id)
    await build_score_steps(connection, day, first, next_id)
    await connection.execute(_SQL["finish_orgs"], day, next_id)
    if next_id is None:
        await connection.execute(_SQL["store_day"], day)
        await connection.execute(_SQL["delete_preparation"])
