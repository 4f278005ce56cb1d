"""The score steps of large groups (`app.reports.score_steps`), updated with the scores (`sql/score_steps.sql`)."""

from datetime import date
from uuid import UUID

import asyncpg

from app.reports.rollup.statements import load_statements

LARGE_GROUP = 1_000
"""A group with at least this many ranked people gets steps when a day is built."""
SMALLEST_ID = UUID(int=0)

_SQL = load_statements("score_steps")


async def apply_score_steps(connection: asyncpg.Connection) -> None:
    """Update the steps with the scores that changed in this transaction."""
    await connection.execute(_SQL["apply"])


async def clear_score_steps(connection: asyncpg.Connection, day: date) -> None:
    """Delete the steps of a day."""
    await connection.execute(_SQL["clear"], day)


async def build_score_steps(
    connection: asyncpg.Connection, day: date, first: UUID = SMALLEST_ID, next_id: UUID | None = None
) -> None:
    """Write the score steps of a day that has none yet, for the orgs whose id is at least `first` and less than
    `next_id`."""
    await connection.execute(_SQL["build"], day, first, next_id, LARGE_GROUP)
