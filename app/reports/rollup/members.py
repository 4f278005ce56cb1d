"""Applying member deltas: from changed member rows to memberships, scores and staged changes (`sql/members.sql`)."""

import asyncpg

from app.reports.rollup.propagation import ADDED, REMOVED, stage_memberships
from app.reports.rollup.statements import count, load

_SQL = load("members")


async def apply_members(connection: asyncpg.Connection) -> bool:
    """Take member deltas; bring memberships and scores in line with where people are, and stage what changes.

    Returns whether anything had changed.
    """
    if not await count(connection, _SQL["take"]):
        return False
    await connection.execute(_SQL["stage_present"])
    removed = await count(connection, _SQL["stage_removed"])
    await connection.execute(_SQL["forget_unchanged"])
    if not removed and not await connection.fetchval(_SQL["any_added"]):
        return False
    await connection.execute(_SQL["stage_changes"])
    await stage_memberships(connection, REMOVED)
    for statement in ("remove", "add"):
        await connection.execute(_SQL[statement])
    await stage_memberships(connection, ADDED)
    for statement in ("remove_scores", "add_scores"):
        await connection.execute(_SQL[statement])
    return True
