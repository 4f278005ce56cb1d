"""Adding staged changes to the totals of every org that counts the person, once (`sql/propagation.sql`)."""

import asyncpg

from app.reports.rollup.statements import count, load

EARNED, REMOVED, ADDED = 0, 1, 2
"""The sides of a staged change: points earned; the person taken off where they were; added where they are."""

MOST_LEVELS = 200

_SQL = load("propagation")


async def stage_memberships(connection: asyncpg.Connection, side: int) -> None:
    """Stage the orgs that the people of one side's changes are members of at this moment."""
    await connection.execute(_SQL["stage_memberships"], side)


async def propagate(connection: asyncpg.Connection) -> None:
    """Add the staged changes to the totals, along the tree as rolled up so far."""
    if not await count(connection, _SQL["own"]):
        return
    await by_levels(connection, _SQL["climb"])
    await connection.execute(_SQL["reach"])
    for row in await connection.fetch(_SQL["days"]):
        await connection.execute(_SQL["add_totals"], row["day"])


async def by_levels(connection: asyncpg.Connection, statement: str, *values: object) -> None:
    """Run a statement with these values and level 0, 1, 2 …, until it writes no row.

    Raises RuntimeError where that does not end: the tree has a circle.
    """
    level = 0
    while await count(connection, statement, *values, level):
        if level > MOST_LEVELS:
            raise RuntimeError("the rolled-up tree has no top")
        level += 1
