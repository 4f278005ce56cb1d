"""Preparing the next day from the one before, slice by slice, so that the rollup goes on between slices.

The day begins as a copy of the one before. Then the slices process the people in the order of their ids: what leaves
their windows is taken off, and what they have on the day itself is added. People not yet processed keep the previous
day's windows, without the figures of one day alone. The scores follow, org by org. At every moment all that is written
of the day is exact for the part that is processed, and deltas are applied to it as to the kept days. Nobody reads the
day before it is kept. The statements are in `sql/next_day.sql`.
"""

from datetime import date
from uuid import UUID

import asyncpg

from app.reports.rollup import days
from app.reports.rollup.propagation import EARNED, propagate, stage_memberships
from app.reports.rollup.score_steps import FIRST_ID, build_score_steps, clear_score_steps
from app.reports.rollup.statements import load

PEOPLE_PER_SLICE = 25_000
SCORES_PER_SLICE = 25_000
"""Each slice takes a fraction of a second."""

_SQL = load("next_day")


async def prepare_slice(connection: asyncpg.Connection, day: date) -> bool:
    """Prepare the next slice of a day, and with the last one keep it. Returns False where no kept day precedes it."""
    progress = await connection.fetchrow(_SQL["progress"], day)
    if progress is None:
        return await _begin(connection, day)
    if progress["people_before"] is not None:
        await _prepare_people(connection, day, progress["people_before"])
    elif progress["orgs_before"] is not None:
        await _prepare_scores(connection, day, progress["orgs_before"])
    return True


async def _begin(connection: asyncpg.Connection, day: date) -> bool:
    if not await connection.fetchval(_SQL["follows"], day):
        return False
    await days.make_partitions(connection, day, scored=True)
    for statement in ("clear_totals", "clear_scores"):
        await connection.execute(_SQL[statement], day)
    await clear_score_steps(connection, day)
    await connection.execute(_SQL["copy_totals"], day)
    await connection.execute(_SQL["forget"])
    await connection.execute(_SQL["begin"], day, FIRST_ID)
    return True


async def _prepare_people(connection: asyncpg.Connection, day: date, first: UUID) -> None:
    following = await connection.fetchval(_SQL["slice_of_people"], first, PEOPLE_PER_SLICE)
    await connection.execute(_SQL["stage_changes"], day, first, following)
    await stage_memberships(connection, EARNED)
    await propagate(connection)
    await connection.execute(_SQL["finish_people"], day, following)


async def _prepare_scores(connection: asyncpg.Connection, day: date, first: UUID) -> None:
    following = await connection.fetchval(_SQL["slice_of_orgs"], first, SCORES_PER_SLICE)
    await connection.execute(_SQL["insert_scores"], day, first, following)
    await build_score_steps(connection, day, first, following)
    await connection.execute(_SQL["finish_orgs"], day, following)
    if following is None:
        await connection.execute(_SQL["keep"], day)
        await connection.execute(_SQL["forget"])
