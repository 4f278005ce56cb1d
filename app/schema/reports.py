"""The deltas from which totals are rolled up, and the totals (`docs/TOTALS.md`).

The transaction that changes something appends delta rows: triggers on unit memberships, activations, members, users
and certifications insert them (migrations 0004 and 0033), so that no writer can omit them. A delta names what changed,
not the amount: the rollup reads the sources again. Everything here except `MemberPhone` can be rebuilt from the
sources.

Ranges are ranges of days (Asia/Shanghai). `since` is the first day at whose end the fact was true, and `before` the
first day at whose end it was no longer true. Of all changes within one day, only the state at the day's end counts.
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
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.database.db import Table


class MemberDelta(Table):
    """A change of a member's units or identity."""

    __tablename__ = "member_deltas"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    org_id: Mapped[UUID] = mapped_column(Uuid)
    member_id: Mapped[UUID] = mapped_column(Uuid)


class UserDelta(Table):
    """A change of a user's phone: it changes the person of every member row with the phone."""

    __tablename__ = "user_deltas"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    user_id: Mapped[UUID] = mapped_column(Uuid)


class EdgeDelta(Table):
    """A change of an org's certification."""

    __tablename__ = "edge_deltas"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    org_id: Mapped[UUID] = mapped_column(Uuid)


class MemberPhone(Table):
    """A former phone of a member row, as a blind index: the person of a row that was not linked on a past day."""

    __tablename__ = "member_phones"
    __table_args__ = (Index(None, "phone_index"),)

    org_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    member_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    until: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    phone_index: Mapped[bytes | None] = mapped_column(LargeBinary, comment="NULL: the row had no phone until then")


class Membership(Table):
    """A person is a member of an org through a member row, in a range of days. The rollup builds these rows.

    `person` is the user who is linked to the row, else the user who has its phone, else the blind index of the phone.
    `activated` says whether a user is linked.
    """

    __tablename__ = "memberships"
    __table_args__ = (
        Index(None, "person"),
        # The present people of an org who are not activated, in the order of a ranking.
        Index(
            "memberships_not_activated_idx",
            "org_id",
            "member_id",
            postgresql_where=text("NOT activated AND before = 'infinity'"),
        ),
    )

    org_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    member_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    since: Mapped[date] = mapped_column(Date, primary_key=True)
    before: Mapped[date] = mapped_column(Date)
    person: Mapped[UUID] = mapped_column(Uuid)
    activated: Mapped[bool] = mapped_column(Boolean)


class TreeEdge(Table):
    """An org is certified under another org in a range of days. The rollup builds these rows from `certifications`."""

    __tablename__ = "tree_edges"
    __table_args__ = (Index(None, "superior_id"),)

    subordinate_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    since: Mapped[date] = mapped_column(Date, primary_key=True)
    before: Mapped[date] = mapped_column(Date)
    superior_id: Mapped[UUID] = mapped_column(Uuid)


class StoredDay(Table):
    """A day whose totals are stored. Today and, before midnight, tomorrow are `scored` too."""

    __tablename__ = "stored_days"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    scored: Mapped[bool] = mapped_column(Boolean)
    stored_since: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class PreparedDay(Table):
    """The progress of preparing a day's totals and scores (`app.reports.rollup.next_day`); null: complete."""

    __tablename__ = "prepared_days"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    people_before: Mapped[UUID | None] = mapped_column(Uuid)
    orgs_before: Mapped[UUID | None] = mapped_column(Uuid)


class OrgTotal(Table):
    """The figures of an org (`own_…`) and of its whole subtree, for windows of 1, 7 and 30 days that end with a day.

    People and hierarchy are those at the day's end. An org without a row has no people. One partition per day.
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
    """The points of an activated member in the seven days that end with a day, and in all days.

    One partition per day. If there are large groups, it is divided into large groups and the rest: only the scores of
    large groups have indexes in the order of points (the database function `make_partition`).
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
    """The number of people of a large group at each step of points, on a day (`app.reports.score_steps`)."""

    __tablename__ = "score_steps"

    org_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    kind: Mapped[int] = mapped_column(
        SmallInteger, primary_key=True, comment="0: points of seven days, 1: points of all days"
    )
    step: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    people: Mapped[int] = mapped_column(Integer)
