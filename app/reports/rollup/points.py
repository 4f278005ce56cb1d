"""Point deltas: from accepted batches to day rows, scores and staged changes (`sql/points.sql`)."""

import asyncpg

from app.reports.rollup.statements import load_statements, run_and_count

MAX_BATCHES = 200
"""One cycle takes at most this many batches, so that it stays short. The next cycle takes the rest."""

_SQL = load_statements("points")


async def apply_points(connection: asyncpg.Connection) -> bool:
    """Remove waiting point deltas, add their points to day rows and scores, and stage the changes of the totals.

    Return whether there were point deltas.
    """
    if not await run_and_count(connection, _SQL["take"], MAX_BATCHES):
        return False
    await connection.execute("ANALYZE staged_points")
    for statement in ("months", "stage_changes", "add_day_rows"):
        await connection.execute(_SQL[statement])
    for row in await connection.fetch(_SQL["scored_days"]):
        await connection.execute(_SQL["add_scores"], row["day"])
    return True
