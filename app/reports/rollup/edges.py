"""Applying edge deltas: a subtree is taken off the totals above it, or added to them, whole (`sql/edges.sql`).

What an org above gains or loses is the subtree's own total, less those of its people who reach that org another way:
it counts them already. So the cost is that of the people of the subtree who are members elsewhere as well, and not of
everybody in it.
"""

from datetime import date
from uuid import UUID

import asyncpg

from app.reports.rollup.days import build_day
from app.reports.rollup.propagation import by_levels
from app.reports.rollup.statements import count, load

MOST_MOVES = 100
"""With more moves than this in one cycle it is cheaper to build the days anew."""

_SQL = load("edges")


async def apply_edges(connection: asyncpg.Connection) -> bool:
    """Take edge deltas; bring the rolled-up tree in line with the certifications and shift the totals of what moved.

    Returns whether there were any.
    """
    if not await count(connection, _SQL["take"]):
        return False
    await connection.execute(_SQL["stage_present"])
    moves = await connection.fetch(_SQL["moves"])
    if len(moves) > MOST_MOVES:
        await _replace_edges(connection)
        for day in sorted({move["day"] for move in moves}):
            await build_day(connection, day)
            await connection.execute(_SQL["finish_people_of_prepared_day"], day)
        return True
    # Every edge that goes is cut before any comes, so that what is left in between is a tree at every moment.
    for move in moves:
        if move["old"] is not None:
            await _shift(connection, move["day"], move["org_id"], -1)
        await connection.execute(_SQL["cut"], move["day"], move["org_id"])
    await _replace_edges(connection)
    for move in moves:
        await connection.execute(_SQL["join"], move["day"], move["org_id"])
        if move["new"] is not None:
            await _shift(connection, move["day"], move["org_id"], 1)
    return True


async def _replace_edges(connection: asyncpg.Connection) -> None:
    await connection.execute(_SQL["remove"])
    await connection.execute(_SQL["add"])


async def _shift(connection: asyncpg.Connection, day: date, org: UUID, sign: int) -> None:
    """Add (or, with a sign of -1, take away) the subtree of an org to the totals of every org above it on a day."""
    above: list[UUID] = []
    superior: UUID | None = org
    while (superior := await connection.fetchval(_SQL["superior"], day, superior)) is not None:
        if superior in above:
            break
        above.append(superior)
    await connection.execute(_SQL["clear"])
    await connection.execute(_SQL["subtree_first"], org)
    await by_levels(connection, _SQL["subtree_next"], day)
    await connection.execute(_SQL["outside_first"], day)
    await by_levels(connection, _SQL["outside_next"], day)
    await connection.execute(_SQL["shift"], day, org, above, sign)
