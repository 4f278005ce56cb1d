"""Building days: totals and scores of one day from the rolled-up state (`sql/days.sql`)."""

from datetime import date, timedelta

import asyncpg

from app.reports.rollup.propagation import by_levels
from app.reports.rollup.score_steps import build_score_steps, clear_score_steps
from app.reports.rollup.statements import load

USE_MEMORY = "SET LOCAL work_mem = '256MB'"

_SQL = load("days")


async def keep_day(connection: asyncpg.Connection, day: date, *, scored: bool) -> None:
    """Build the totals (and with `scored` the scores) of a day, and keep them from now on."""
    await make_partitions(connection, day, scored=scored)
    await build_day(connection, day, scored=scored)
    await connection.execute(_SQL["forget_preparation"], day)
    await connection.execute(_SQL["keep"], day, scored)


async def make_partitions(connection: asyncpg.Connection, day: date, *, scored: bool) -> None:
    """Make the partitions of the day's totals, and with `scored` of its scores, where there are none."""
    for table in ("org_totals", "org_scores") if scored else ("org_totals",):
        await connection.execute(_SQL["make_partition"], day, table)


async def build_day(connection: asyncpg.Connection, day: date, *, scored: bool = False) -> None:
    """Write a kept day's totals anew; with `scored` its scores too."""
    await connection.execute(USE_MEMORY)
    # Without parallel workers: each would sum up nearly every user and the leader all of it again, which takes twice
    # the processor time, and no less by the clock on two busy cores.
    await connection.execute("SET LOCAL max_parallel_workers_per_gather = 0")
    # Scores need the points of all days: one pass over the day rows serves both.
    await connection.execute(_SQL["earned"], day, date.min if scored else day - timedelta(days=30))
    await connection.execute("SET LOCAL max_parallel_workers_per_gather TO DEFAULT")
    await connection.execute(_SQL["analyze_earned"])
    await connection.execute(_SQL["own"], day)
    await connection.execute(_SQL["climb_first"])
    await by_levels(connection, _SQL["climb_next"], day)
    await connection.execute(_SQL["several_first"], day)
    await by_levels(connection, _SQL["several_next"], day)
    for statement in ("repeated", "compare_totals", "delete_totals", "insert_totals"):
        await connection.execute(_SQL[statement], day)
    if scored:
        for statement in ("compare_scores", "delete_scores", "insert_scores"):
            await connection.execute(_SQL[statement], day)
        await connection.execute(_SQL["drop_scores"])
        await clear_score_steps(connection, day)
        await build_score_steps(connection, day)
    await connection.execute(_SQL["drop"])
