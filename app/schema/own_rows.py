"""What a user decides about their own rows in the directories of orgs."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, ForeignKeyConstraint, Index, Text, Uuid, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database.db import Table
from app.schema.approvals import ExpiringApproval


class RemovalRequest(ExpiringApproval):
    """A user asks an org to remove their row from the directory. The admins of the org accept or decline.

    If the row is removed in another way, or is no longer linked to the user, the request is superseded.
    """

    __tablename__ = "removal_requests"
    __table_args__ = (
        CheckConstraint(
            "state IN ('pending', 'accepted', 'declined', 'withdrawn', 'expired', 'superseded')", name="state"
        ),
        CheckConstraint("(state = 'pending') = (decided_at IS NULL)", name="decided"),
        ForeignKeyConstraint(
            ["org_id", "member_id"], ["members.org_id", "members.id"], name="removal_requests_member_fkey"
        ),
        Index(
            "removal_requests_one_open_key",
            "org_id",
            "user_id",
            unique=True,
            postgresql_where=text("state = 'pending'"),
        ),
        Index(None, "user_id", "id"),
    )

    org_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    member_id: Mapped[UUID] = mapped_column(Uuid, comment="the row that was linked to the user")
    reason: Mapped[str | None] = mapped_column(Text)
    decided_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))


class OrgBlock(Table):
    """A user does not want to be linked to the directory of an org: no row of it becomes active through the account."""

    __tablename__ = "org_blocks"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    org_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
