"""Columns that many tables have."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, Uuid, func, text
from sqlalchemy.orm import MappedColumn, mapped_column


def build_id_column() -> MappedColumn[UUID]:
    """Return a primary key whose values are ordered by time."""
    return mapped_column(Uuid, primary_key=True, server_default=text("uuidv7()"))


def build_now_column() -> MappedColumn[datetime]:
    return mapped_column(DateTime(timezone=True), server_default=func.now())


def build_time_column() -> MappedColumn[datetime]:
    return mapped_column(DateTime(timezone=True))


def build_nullable_time_column() -> MappedColumn[datetime | None]:
    return mapped_column(DateTime(timezone=True))
