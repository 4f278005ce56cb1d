"""People on their way from one org to another."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, ForeignKeyConstraint, Index, Text, Uuid, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Table


class PersonTransfer(Table):
    """A person whom `org_id` would let go to `to_id` (S20): asked → accepted, or ended by either side or by time.

    Where the person has left the org otherwise it has lapsed, whatever its state says.
    """

    __tablename__ = "person_transfers"
    __table_args__ = (
        CheckConstraint("state IN ('asked', 'accepted', 'refused', 'withdrawn', 'lapsed')", name="state"),
        CheckConstraint("(state = 'asked') = (decided_at IS NULL)", name="decided"),
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
            postgresql_where=text("state = 'asked'"),
        ),
        Index(None, "to_id", "id"),
        Index("person_transfers_waiting_idx", "to_id", postgresql_where=text("state = 'asked'")),
    )

    org_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"), primary_key=True)
    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, server_default=text("uuidv7()"))
    member_id: Mapped[UUID] = mapped_column(Uuid)
    to_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"))
    new_member_id: Mapped[UUID | None] = mapped_column(Uuid, comment="their row in the org that took them in")
    state: Mapped[str] = mapped_column(Text, server_default="asked")
    reason: Mapped[str | None] = mapped_column(Text)
    asked_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    asked_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    decided_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    decided_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
