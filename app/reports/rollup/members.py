"""Member deltas: from changed member rows to memberships, scores and staged changes (`sql/members.sql`)."""

import asyncpg

from app.reports.rollup.propagation import ADDED, REMOVED, stage_memberships
from app.reports.rollup.statements import load_statements, run_and_count

_SQL = load_statements("members")


async def apply_members(connection: asyncpg.Connection) -> bool:
    """Remove the waiting member deltas, update memberships and scores from the sources, and stage the changes of the
    totals.

    Return whether anything has changed.
    """
    if not await run_and_count(connection, _SQL["take"]):
        return False
    await connection.execute(_SQL["stage_present"])
    removed = await run_and_count(connection, _SQL["stage_removed"])
    await connection.execute(_SQL["delete_unchanged"])
    if not removed and not await connection.fetchval(_SQL["has_added"]):
        return False
    await connection.execute(_SQL["stage_changes"])
    await stage_memberships(connection, REMOVED)
    for statement in ("remove", "add"):
        await connection.execute(_SQL[statement])
    await stage_memberships(connection, ADDED)
    for statement in ("remove_scores", "add_scores"):
        await connection.execute(_SQL[statement])
    return True
