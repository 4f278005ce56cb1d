"""What the totals are rolled up from, and the totals themselves (`docs/TOTALS.md`).

Delta rows are appended by the transaction that changes something: triggers on unit memberships, activations, members
and certifications write them (migration 0004), so that no writer can forget to. They name what changed, never by how
much: the rollup reads the sources again. Everything here but `MemberPhone` can be rebuilt from the sources.

Ranges are of days (Asia/Shanghai), `since` the first day at whose end it held and `before` the first at whose end it
no longer did, so that all that happened within one day leaves what stood at its end.
"""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Uuid,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.database.db import Table


class MemberDelta(Table):
    """Something changed about where a member stands or who they are."""

    __tablename__ = "member_deltas"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    org_id: Mapped[UUID] = mapped_column(Uuid)
    member_id: Mapped[UUID] = mapped_column(Uuid)


class EdgeDelta(Table):
    """Something changed about what an org is certified under."""

    __tablename__ = "edge_deltas"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    org_id: Mapped[UUID] = mapped_column(Uuid)


class MemberPhone(Table):
    """A phone that a member row no longer has, by its blind index: who an inactive row was on a past day."""

    __tablename__ = "member_phones"
    __table_args__ = (Index(None, "phone_index"),)

    org_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    member_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    until: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    phone_index: Mapped[bytes] = mapped_column(LargeBinary)


class Membership(Table):
    """As rolled up: a person is a member of an org through a member row, from day to day.

    `person` is the user where the row is activated, else the phone by its blind index.
    """

    __tablename__ = "memberships"
    __table_args__ = (Index(None, "person"),)

    org_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    member_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    since: Mapped[date] = mapped_column(Date, primary_key=True)
    before: Mapped[date] = mapped_column(Date)
    person: Mapped[UUID] = mapped_column(Uuid)
    activated: Mapped[bool] = mapped_column(Boolean)


class TreeEdge(Table):
    """As rolled up: an org is certified under another, from day to day."""

    __tablename__ = "tree_edges"
    __table_args__ = (Index(None, "superior_id"),)

    subordinate_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    since: Mapped[date] = mapped_column(Date, primary_key=True)
    before: Mapped[date] = mapped_column(Date)
    superior_id: Mapped[UUID] = mapped_column(Uuid)


class StoredDay(Table):
    """A day whose totals are kept; today and, before midnight, tomorrow are `scored` too."""

    __tablename__ = "stored_days"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    scored: Mapped[bool] = mapped_column(Boolean)
    stored_since: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class PreparedDay(Table):
    """A day whose totals and scores are being prepared, how far (`app.reports.rollup.next_day`); null: to the end."""

    __tablename__ = "prepared_days"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    people_before: Mapped[UUID | None] = mapped_column(Uuid)
    orgs_before: Mapped[UUID | None] = mapped_column(Uuid)


class OrgTotal(Table):
    """The figures of an org (`own_…`) and of its whole subtree, for windows of 1, 7 and 30 days that end with a day.

    People and hierarchy are those of the day's end. An org without a row has nobody. A partition a day.
    """

    __tablename__ = "org_totals"
    __table_args__ = ({"postgresql_partition_by": "RANGE (day)"},)

    org_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    own_members: Mapped[int] = mapped_column(Integer)
    own_activated: Mapped[int] = mapped_column(Integer)
    own_active_1: Mapped[int] = mapped_column(Integer)
    own_active_7: Mapped[int] = mapped_column(Integer)
    own_active_30: Mapped[int] = mapped_column(Integer)
    members: Mapped[int] = mapped_column(Integer)
    activated: Mapped[int] = mapped_column(Integer)
    active_1: Mapped[int] = mapped_column(Integer)
    active_7: Mapped[int] = mapped_column(Integer)
    active_30: Mapped[int] = mapped_column(Integer)
    own_points_1: Mapped[int] = mapped_column(BigInteger)
    own_points_7: Mapped[int] = mapped_column(BigInteger)
    own_points_30: Mapped[int] = mapped_column(BigInteger)
    points_1: Mapped[int] = mapped_column(BigInteger)
    points_7: Mapped[int] = mapped_column(BigInteger)
    points_30: Mapped[int] = mapped_column(BigInteger)


class OrgScore(Table):
    """The points of an activated member, of the seven days that end with a day and of all days.

    A partition a day, divided into large groups and the rest where there are any: only scores of large groups have
    indexes in the order of points (the database function `make_partition`).
    """

    __tablename__ = "org_scores"
    __table_args__ = ({"postgresql_partition_by": "RANGE (day)"},)

    org_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    member_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(Uuid)
    last_7: Mapped[int] = mapped_column(BigInteger)
    total: Mapped[int] = mapped_column(BigInteger)


class ScoreStep(Table):
    """How many people of a large group have points of which step, on a day (`app.reports.score_steps`)."""

    __tablename__ = "score_steps"

    org_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    kind: Mapped[int] = mapped_column(SmallInteger, primary_key=True, comment="0: of seven days, 1: of all")
    step: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    people: Mapped[int] = mapped_column(Integer)
