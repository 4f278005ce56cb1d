"""Propagation: the staged changes of a person are added to the totals of every org that counts the person, and to each
of these totals only once.

The statements are in `sql/propagation.sql`.
"""

import asyncpg

from app.reports.rollup.statements import load_statements, run_and_count

EARNED, REMOVED, ADDED = 0, 1, 2
"""The sides of a staged change: the person earned points, is removed from old orgs, or is added to new orgs."""

MAX_LEVELS = 200

_SQL = load_statements("propagation")


async def stage_memberships(connection: asyncpg.Connection, side: int) -> None:
    """Stage the orgs of which the people with staged changes of this side are members at this moment."""
    await connection.execute(_SQL["stage_memberships"], side)


async def propagate_changes(connection: asyncpg.Connection) -> None:
    """Add the staged changes to the totals of the people's orgs and of all superiors of these orgs in the rolled-up
    tree."""
    if not await run_and_count(connection, _SQL["own"]):
        return
    await run_by_level(connection, _SQL["climb"])
    await connection.execute(_SQL["reach"])
    for row in await connection.fetch(_SQL["days"]):
        await connection.execute(_SQL["add_totals"], row["day"])


async def run_by_level(connection: asyncpg.Connection, statement: str, *values: object) -> None:
    """Run a statement with these values and level 0, 1, 2 …, until it writes no row.

    Raises RuntimeError after MAX_LEVELS levels, because then the tree has a cycle.
    """
    level = 0
    while await run_and_count(connection, statement, *values, level):
        if level > MAX_LEVELS:
            raise RuntimeError("the rolled-up tree has no top")
        level += 1
