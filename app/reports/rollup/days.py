"""The build of one day: its totals and scores from the rolled-up state (`sql/days.sql`)."""

from datetime import date, timedelta

import asyncpg

from app.reports.rollup.propagation import run_by_level
from app.reports.rollup.score_steps import build_score_steps, clear_score_steps
from app.reports.rollup.statements import load_statements

SET_WORK_MEM = "SET LOCAL work_mem = '256MB'"

_SQL = load_statements("days")


async def store_day(connection: asyncpg.Connection, day: date, *, scored: bool) -> None:
    """Build the totals (and with `scored` the scores) of a day, and record it as a stored day."""
    await create_partitions(connection, day, scored=scored)
    await build_day(connection, day, scored=scored)
    await connection.execute(_SQL["delete_preparation"], day)
    await connection.execute(_SQL["store_day"], day, scored)


async def create_partitions(connection: asyncpg.Connection, day: date, *, scored: bool) -> None:
    """Create the missing partitions of the day's totals, and with `scored` of its scores."""
    for table in ("org_totals", "org_scores") if scored else ("org_totals",):
        await connection.execute(_SQL["make_partition"], day, table)


async def build_day(connection: asyncpg.Connection, day: date, *, scored: bool = False) -> None:
    """Write the totals of a day from the rolled-up state, and with `scored` its scores. A row that is already correct
    is not written."""
    await connection.execute(SET_WORK_MEM)
    # Parallel workers are off: each would sum up nearly every user and the leader would sum up all of it again. That
    # takes twice the processor time, and on two busy cores it is not faster.
    await connection.execute("SET LOCAL max_parallel_workers_per_gather = 0")
    # Scores need the points of all days, so one pass over the day rows computes both totals and scores.
    await connection.execute(_SQL["earned"], day, date.min if scored else day - timedelta(days=30))
    await connection.execute("SET LOCAL max_parallel_workers_per_gather TO DEFAULT")
    await connection.execute(_SQL["analyze_earned"])
    await connection.execute(_SQL["own"], day)
    await connection.execute(_SQL["climb_first"])
    await run_by_level(connection, _SQL["climb_next"], day)
    await connection.execute(_SQL["several_first"], day)
    await run_by_level(connection, _SQL["several_next"], day)
    await connection.execute(_SQL["repeated"])
    for statement in ("compare_totals", "delete_totals", "insert_totals"):
        await connection.execute(_SQL[statement], day)
    if scored:
        for statement in ("compare_scores", "delete_scores", "insert_scores"):
            await connection.execute(_SQL[statement], day)
        await connection.execute(_SQL["drop_scores"])
        await clear_score_steps(connection, day)
        await build_score_steps(connection, day)
    await connection.execute(_SQL["drop"])
