"""The ledger of points and what is kept beside it.

Everything but the key table is keyed by user first, so that it can be distributed by user later. Partitions stand in
the schema `partitions` and are made by `make_partition` (migration 0004).
"""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Date, DateTime, Identity, Index, Integer, Text, Uuid, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.database.db import Table


class PointEventKey(Table):
    """What has been counted: written first, never partitioned nor archived, so that an event counts once for ever."""

    __tablename__ = "point_event_keys"

    source: Mapped[str] = mapped_column(Text, primary_key=True)
    event_id: Mapped[str] = mapped_column(Text, primary_key=True)


class PointEvent(Table):
    """The ledger, append-only in the database itself: a correction is an event with negative points.

    A partition a day (Asia/Shanghai). `user_id` is no foreign key: the statement that writes looks the user up, and
    the rows outlive whoever the account identified. There is no primary key: an event counts once by its
    `PointEventKey`, and a second unique index cost a batch a sixth of PostgreSQL's work and four times the WAL.
    """

    __tablename__ = "point_events"
    __table_args__ = (
        CheckConstraint("points <> 0", name="points"),
        Index(None, "user_id", "day"),
        {"postgresql_partition_by": "RANGE (day)"},
    )

    user_id: Mapped[UUID] = mapped_column(Uuid)
    day: Mapped[date] = mapped_column(Date)
    source: Mapped[str] = mapped_column(Text)
    event_id: Mapped[str] = mapped_column(Text)
    points: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(Text)
    occurred_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    __mapper_args__ = {"primary_key": (source, event_id)}  # noqa: RUF012 — SQLAlchemy reads it as it is


class PointDelta(Table):
    """What one batch added to the ledger, until it is rolled up into the day rows, totals and scores: a row a batch."""

    __tablename__ = "point_deltas"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    user_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    days: Mapped[list[date]] = mapped_column(ARRAY(Date))
    points: Mapped[list[int]] = mapped_column(ARRAY(Integer))


class UserDay(Table):
    """The points of one user on one day, as far as they are rolled up; with the waiting facts, the ledger's own sum.

    A partition a month.
    """

    __tablename__ = "user_days"
    __table_args__ = ({"postgresql_partition_by": "RANGE (day)"},)

    user_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    points: Mapped[int] = mapped_column(BigInteger)
    events: Mapped[int] = mapped_column(Integer)
