"""Transfers of people between orgs."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Integer, Text, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database.db import Table
from app.schema.approvals import ExpiringApproval


class PersonTransfer(ExpiringApproval):
    """An offer of `org_id` to transfer a person to `to_id` (S20): pending → accepted, or ended by a side or by time.

    If the person leaves the org in another way, it is superseded.
    """

    __tablename__ = "person_transfers"
    __table_args__ = (
        CheckConstraint(
            "state IN ('pending', 'accepted', 'declined', 'withdrawn', 'expired', 'superseded')", name="state"
        ),
        CheckConstraint("(state = 'pending') = (decided_at IS NULL)", name="decided"),
        CheckConstraint("(state = 'accepted') = (new_member_id IS NOT NULL)", name="accepted"),
        CheckConstraint("to_id <> org_id", name="elsewhere"),
        ForeignKeyConstraint(
            ["org_id", "member_id"], ["members.org_id", "members.id"], name="person_transfers_member_fkey"
        ),
        ForeignKeyConstraint(
            ["to_id", "new_member_id"], ["members.org_id", "members.id"], name="person_transfers_new_member_fkey"
        ),
        Index(
            "person_transfers_one_open_key",
            "org_id",
            "member_id",
            unique=True,
            postgresql_where=text("state = 'pending'"),
        ),
        Index(None, "to_id", "id"),
        Index("person_transfers_waiting_idx", "to_id", postgresql_where=text("state = 'pending'")),
    )

    org_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"), primary_key=True)
    member_id: Mapped[UUID] = mapped_column(Uuid)
    to_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"), comment="the receiving org")
    new_member_id: Mapped[UUID | None] = mapped_column(Uuid, comment="the row of the person in the receiving org")
    reason: Mapped[str | None] = mapped_column(Text)
    requested_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    decided_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))


class GroupTransfer(ExpiringApproval):
    """A request of `org_id` to transfer several people to `to_id` (S20). The receiving org decides about all of them at
    once. Of the people in `group_transfer_people`, those move who can at that time."""

    __tablename__ = "group_transfers"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'accepted', 'declined', 'withdrawn', 'expired')", name="state"),
        CheckConstraint("(state = 'pending') = (decided_at IS NULL)", name="decided"),
        CheckConstraint("(state = 'accepted') = (moved IS NOT NULL)", name="moved"),
        CheckConstraint("to_id <> org_id", name="elsewhere"),
        Index(
            "group_transfers_one_open_key",
            "org_id",
            "to_id",
            unique=True,
            postgresql_where=text("state = 'pending'"),
        ),
        Index(None, "org_id", "id"),
        Index(None, "to_id", "id"),
        Index("group_transfers_waiting_idx", "to_id", postgresql_where=text("state = 'pending'")),
    )

    org_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"), comment="the org that the people leave")
    to_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"), comment="the receiving org")
    people: Mapped[int] = mapped_column(Integer, comment="the number of people in the request")
    moved: Mapped[int | None] = mapped_column(Integer, comment="the number of people who were transferred")
    reason: Mapped[str | None] = mapped_column(Text)
    requested_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    decided_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))


class GroupTransferPerson(Table):
    """A person of a group transfer. After the acceptance either `new_member_id` or `obstacle` is set."""

    __tablename__ = "group_transfer_people"
    __table_args__ = (
        CheckConstraint("new_member_id IS NULL OR obstacle IS NULL", name="result"),
        ForeignKeyConstraint(
            ["org_id", "member_id"], ["members.org_id", "members.id"], name="group_transfer_people_member_fkey"
        ),
        Index(None, "org_id", "member_id"),
    )

    transfer_id: Mapped[UUID] = mapped_column(ForeignKey("group_transfers.id"), primary_key=True)
    place: Mapped[int] = mapped_column(Integer, primary_key=True, comment="the order of the request, from 1")
    member_id: Mapped[UUID] = mapped_column(Uuid)
    org_id: Mapped[UUID] = mapped_column(Uuid, comment="the org that the person leaves")
    new_member_id: Mapped[UUID | None] = mapped_column(Uuid, comment="the row of the person in the receiving org")
    obstacle: Mapped[str | None] = mapped_column(Text, comment="why the person was not transferred")
