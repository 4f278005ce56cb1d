"""Applying point deltas: from accepted batches to day rows, scores and staged changes (`sql/points.sql`)."""

import asyncpg

from app.reports.rollup.statements import count, load

BATCHES = 200
"""So many batches at most in one cycle: it stays short, and the rest is taken by the next one."""

_SQL = load("points")


async def apply_points(connection: asyncpg.Connection) -> bool:
    """Take point deltas; write day rows and scores, and stage what changes. Returns whether there were any."""
    if not await count(connection, _SQL["take"], BATCHES):
        return False
    await connection.execute("ANALYZE staged_points")
    for statement in ("months", "stage_changes", "add_day_rows"):
        await connection.execute(_SQL[statement])
    for row in await connection.fetch(_SQL["scored_days"]):
        await connection.execute(_SQL["add_scores"], row["day"])
    return True
