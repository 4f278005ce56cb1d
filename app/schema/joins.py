"""Links with which people ask to join an org, and their requests."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Text, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from app.schema.approvals import ExpiringApproval
from app.schema.links import OrgLink


class JoinLink(OrgLink):
    """A link with which people request to join the org, or one of its units."""

    __tablename__ = "join_links"
    __table_args__ = (
        CheckConstraint("uses BETWEEN 0 AND max_uses", name="uses"),
        ForeignKeyConstraint(["org_id", "unit_id"], ["units.org_id", "units.id"], name="join_links_unit_fkey"),
        Index("join_links_token_hash_key", "token_hash", unique=True),
        Index(None, "org_id", "id"),
    )

    unit_id: Mapped[UUID | None] = mapped_column(Uuid)


class JoinRequest(ExpiringApproval):
    """A user asks to be in the directory of an org. The admins of the org accept with units, or decline.

    `name` is the name that the user gives. It is stored only while the request is pending; a verified name comes before
    it. `unit_id` is the unit of the link.
    """

    __tablename__ = "join_requests"
    __table_args__ = (
        CheckConstraint(
            "state IN ('pending', 'accepted', 'declined', 'withdrawn', 'expired', 'superseded')", name="state"
        ),
        CheckConstraint("(state = 'pending') = (name IS NOT NULL)", name="name"),
        CheckConstraint("(state = 'pending') = (decided_at IS NULL)", name="decided"),
        CheckConstraint("(state = 'accepted') = (member_id IS NOT NULL)", name="accepted"),
        ForeignKeyConstraint(["org_id", "unit_id"], ["units.org_id", "units.id"], name="join_requests_unit_fkey"),
        ForeignKeyConstraint(
            ["org_id", "member_id"], ["members.org_id", "members.id"], name="join_requests_member_fkey"
        ),
        Index(
            "join_requests_one_open_key", "org_id", "user_id", unique=True, postgresql_where=text("state = 'pending'")
        ),
        Index(None, "user_id", "id"),
    )

    org_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str | None] = mapped_column(Text)
    unit_id: Mapped[UUID | None] = mapped_column(Uuid)
    member_id: Mapped[UUID | None] = mapped_column(Uuid, comment="the row that the acceptance created or linked")
    reason: Mapped[str | None] = mapped_column(Text)
    decided_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
