"""Checks that compare stored data, made by jobs. Their last result is a metric (`app.monitoring`)."""

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.schema.health import HealthCheck


async def record_check(db: AsyncConnection, name: str, findings: int) -> None:
    """Store in this transaction how many things a check has found wrong."""
    row = {"name": name, "findings": findings, "checked_at": func.now()}
    stored = insert(HealthCheck).values(row)
    await db.execute(stored.on_conflict_do_update(index_elements=[HealthCheck.name], set_=row))
