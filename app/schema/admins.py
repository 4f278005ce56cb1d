"""Admins of orgs, invitations to become one, and requests that the superior decides.

The main admin is `orgs.main_admin_id`, which must refer to a row of `org_admins`.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, CheckConstraint, ColumnElement, DateTime, ForeignKey, Index, Text, func, or_, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database.db import Table
from app.schema.approvals import ExpiringApproval, Offer


class OrgAdmin(Table):
    """A learning administrator (学习管理员) of an org; the main admin is one of them.

    When an admin leaves the office, the row is deleted and only the audit entries remain.

    A trigger accepts only a user whose real name is verified. Another trigger prevents an admin from losing the
    verification.
    """

    __tablename__ = "org_admins"
    __table_args__ = (Index(None, "user_id"),)

    org_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    since: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class AdminInvitation(Offer):
    """An offer to become an admin of the org (S4). `user_id` is the account that accepted it.

    With `main_admin_before` it is a recovery: the person who accepts it replaces this main admin. The superior makes
    the offer, or the platform operator if the superior is null. With `first_main_admin` the org has had no main admin
    yet (it comes from a load), and the person who accepts the offer becomes it.
    """

    __tablename__ = "admin_invitations"
    __table_args__ = (
        CheckConstraint(
            "state IN ('pending', 'accepted', 'declined', 'withdrawn', 'expired', 'superseded')", name="state"
        ),
        CheckConstraint("(state = 'pending') = (phone_cipher IS NOT NULL)", name="phone"),
        CheckConstraint("(state = 'accepted') = (user_id IS NOT NULL)", name="user"),
        Index(None, "org_id", "id"),
        # The phone is the first column: the inbox finds the offers to a person by the phone.
        Index(
            "admin_invitations_one_open_key",
            "phone_index",
            "org_id",
            unique=True,
            postgresql_where=text("state = 'pending'"),
        ),
        Index(None, "phone_index"),
        Index(None, "invitee_id", postgresql_where=text("invitee_id IS NOT NULL")),
    )

    org_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"))
    requested_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"), comment="the account that accepted the offer")
    main_admin_before: Mapped[UUID | None] = mapped_column(
        ForeignKey("users.id"), comment="the main admin whom a recovery replaces; NULL: no recovery"
    )
    first_main_admin: Mapped[bool] = mapped_column(
        Boolean, server_default=text("false"), comment="the org has had no main admin; who accepts becomes it"
    )
    superior_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("orgs.id"), comment="the superior that made the recovery offer; NULL: a platform operator"
    )

    @classmethod
    def is_recovery(cls) -> ColumnElement[bool]:
        """Return the SQL condition that the offer is for the office of main admin."""
        return or_(cls.main_admin_before.is_not(None), cls.first_main_admin)


class ChangeRequest(ExpiringApproval):
    """A change that the superior decides (S5): a rename, a hand-over, or a recovery of the main admin (S4).

    The superior is not stored: the present superior decides, so that a request follows the org. The values at the time
    of the request are stored, so that an outdated request can be recognized.
    """

    __tablename__ = "change_requests"
    __table_args__ = (
        CheckConstraint("kind IN ('rename', 'hand-over', 'recovery')", name="kind"),
        CheckConstraint(
            "state IN ('pending', 'accepted', 'declined', 'withdrawn', 'expired', 'superseded')",
            name="state",
        ),
        CheckConstraint("(state = 'pending') = (decided_at IS NULL)", name="decided"),
        CheckConstraint(
            "(kind = 'rename') = (name_before IS NOT NULL) AND (kind = 'rename') = (name_after IS NOT NULL) "
            "AND (kind = 'rename') = (main_admin_before IS NULL) AND (kind = 'rename') = (main_admin_after IS NULL)",
            name="change",
        ),
        Index(None, "org_id", "id"),
        Index(
            "change_requests_one_open_key", "org_id", "kind", unique=True, postgresql_where=text("state = 'pending'")
        ),
    )

    org_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"))
    kind: Mapped[str] = mapped_column(Text)
    name_before: Mapped[str | None] = mapped_column(Text, comment="the name at the time of the request")
    name_after: Mapped[str | None] = mapped_column(Text, comment="the requested name")
    main_admin_before: Mapped[UUID | None] = mapped_column(
        ForeignKey("users.id"), comment="the main admin at the time of the request"
    )
    main_admin_after: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"), comment="the requested main admin")
    requested_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    reason: Mapped[str | None] = mapped_column(Text, comment="the reason for the request")
    decided_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    refusal: Mapped[str | None] = mapped_column(Text, comment="the reason for the refusal")
