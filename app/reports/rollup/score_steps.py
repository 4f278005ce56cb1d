"""Keeping the steps of large groups (`app.reports.score_steps`) in line with the scores (`sql/score_steps.sql`)."""

from datetime import date
from uuid import UUID

import asyncpg

from app.reports.rollup.statements import load

LARGE_GROUP = 1_000
"""Groups of this many ranked people and more have steps, from the next time that a day is built."""
FIRST_ID = UUID(int=0)

_SQL = load("score_steps")


async def apply_score_steps(connection: asyncpg.Connection) -> None:
    """Bring the steps in line with the scores that changed in this transaction."""
    await connection.execute(_SQL["apply"])


async def clear_score_steps(connection: asyncpg.Connection, day: date) -> None:
    """Delete the steps of a day."""
    await connection.execute(_SQL["clear"], day)


async def build_score_steps(
    connection: asyncpg.Connection, day: date, first: UUID = FIRST_ID, following: UUID | None = None
) -> None:
    """Write the steps of a day that has none yet; of the orgs from `first` on and before `following`."""
    await connection.execute(_SQL["build"], day, first, following, LARGE_GROUP)
