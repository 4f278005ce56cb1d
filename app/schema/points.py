"""The ledger of points and the tables derived from it.

Every table except the key table is keyed by user first, so that it can be distributed by user later. Partitions are in
the schema `partitions`; `make_partition` creates them (`app.database.partitions`).
"""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Date, DateTime, Identity, Index, Integer, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.database.db import Table


class PointEventKey(Table):
    """The key of a counted event. It is inserted first, so that an event counts once (`app.points.keys`).

    One partition per period of arrival, with a primary key of (source, event_id) of its own. A clean-up drops it when
    no event of the period can come again. The first partition has the keys from before there were periods.
    """

    __tablename__ = "point_event_keys"
    __table_args__ = ({"postgresql_partition_by": "RANGE (since)"},)

    source: Mapped[str] = mapped_column(Text)
    event_id: Mapped[str] = mapped_column(Text)
    since: Mapped[date] = mapped_column(Date, server_default=text("key_period_of(day_of(now()))"))
    """The first day of the period."""

    __mapper_args__ = {"primary_key": (source, event_id, since)}  # noqa: RUF012 — SQLAlchemy needs this type


class PointEvent(Table):
    """The ledger. A trigger makes it append-only; a correction is an event with negative points.

    One partition per day (Asia/Shanghai). `user_id` is not a foreign key: the insert looks the user up, and the rows
    outlive the person's account. There is no primary key: `PointEventKey` makes an event count once, and a second
    unique index cost a batch a sixth of PostgreSQL's work and four times the WAL.
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

    __mapper_args__ = {"primary_key": (source, event_id)}  # noqa: RUF012 — SQLAlchemy needs this type


class PointDelta(Table):
    """The points that one batch added, until they are rolled up into day rows, totals and scores. One row per batch."""

    __tablename__ = "point_deltas"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    user_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    days: Mapped[list[date]] = mapped_column(ARRAY(Date))
    points: Mapped[list[int]] = mapped_column(ARRAY(Integer))


class UserDay(Table):
    """The rolled-up points of one user on one day. Together with the pending deltas they equal the sum of the ledger.

    One partition per month.
    """

    __tablename__ = "user_days"
    __table_args__ = ({"postgresql_partition_by": "RANGE (day)"},)

    user_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    points: Mapped[int] = mapped_column(BigInteger)
    events: Mapped[int] = mapped_column(Integer)
