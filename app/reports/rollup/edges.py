"""Edge deltas: a whole subtree is subtracted from the totals of its superiors, or added to them (`sql/edges.sql`).

A superior gains or loses the total of the subtree, without the people of the subtree that it also counts through
another org. So the cost depends only on the people of the subtree who are members of other orgs too.
"""

from datetime import date
from uuid import UUID

import asyncpg

from app.reports.rollup.days import build_day
from app.reports.rollup.propagation import run_by_level
from app.reports.rollup.statements import load_statements, run_and_count

MAX_MOVES = 100
"""If one cycle has more moves than this, it is cheaper to build the days again."""

_SQL = load_statements("edges")


async def apply_edges(connection: asyncpg.Connection) -> bool:
    """Remove the waiting edge deltas, update the rolled-up tree from the certifications, and move the totals of the
    subtrees that have another superior now.

    Return whether there were edge deltas.
    """
    if not await run_and_count(connection, _SQL["take"]):
        return False
    await connection.execute(_SQL["stage_present"])
    moves = await connection.fetch(_SQL["moves"])
    if len(moves) > MAX_MOVES:
        await _replace_edges(connection)
        for day in sorted({move["day"] for move in moves}):
            await build_day(connection, day)
            await connection.execute(_SQL["finish_people_of_prepared_day"], day)
        return True
    # Every old edge is cut before a new one is added, so that the remaining edges are a tree at every moment.
    for move in moves:
        if move["old"] is not None:
            await _shift_totals(connection, move["day"], move["org_id"], -1)
        await connection.execute(_SQL["cut"], move["day"], move["org_id"])
    await _replace_edges(connection)
    for move in moves:
        await connection.execute(_SQL["uncut"], move["day"], move["org_id"])
        if move["new"] is not None:
            await _shift_totals(connection, move["day"], move["org_id"], 1)
    return True


async def _replace_edges(connection: asyncpg.Connection) -> None:
    await connection.execute(_SQL["remove"])
    await connection.execute(_SQL["add"])


async def _shift_totals(connection: asyncpg.Connection, day: date, org: UUID, sign: int) -> None:
    """Add the total of an org's subtree to all superiors of the org on a day, or subtract it if `sign` is -1."""
    superiors: list[UUID] = []
    superior: UUID | None = org
    while (superior := await connection.fetchval(_SQL["superior"], day, superior)) is not None:
        if superior in superiors:
            break
        superiors.append(superior)
    await connection.execute(_SQL["clear"])
    await connection.execute(_SQL["subtree_first"], org)
    await run_by_level(connection, _SQL["subtree_next"], day)
    await connection.execute(_SQL["outside_first"], day)
    await run_by_level(connection, _SQL["outside_next"], day)
    await connection.execute(_SQL["shift"], day, org, superiors, sign)
