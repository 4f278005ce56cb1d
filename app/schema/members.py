"""Members in an org's directory: their rows, units and accounts.

Every unique key begins with the org. Unit memberships and activations are time ranges, so that reports can show past
days; a later change never overwrites them.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Computed,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.database.db import Table
from app.schema.approvals import ExpiringApproval

_LIVE = text("removed_at IS NULL")
_OPEN = text("until IS NULL")


class Member(Table):
    """A person's row in one org's directory. `user_id` is the account through which it is active (S18)."""

    __tablename__ = "members"
    __table_args__ = (
        CheckConstraint("removed_at IS NULL OR user_id IS NULL", name="removed_inactive"),
        CheckConstraint("party OR NOT probationary", name="probationary"),
        CheckConstraint("num_nulls(phone_cipher, phone_index, phone_last4_index) IN (0, 3)", name="phone"),
        CheckConstraint("phone_index IS NOT NULL OR user_id IS NULL", name="without_phone_inactive"),
        Index("members_org_id_phone_index_key", "org_id", "phone_index", unique=True, postgresql_where=_LIVE),
        Index(
            "members_org_id_user_id_key",
            "org_id",
            "user_id",
            unique=True,
            postgresql_where=text("user_id IS NOT NULL"),
        ),
        # A registration finds rows by the phone alone: the person can be a member of any org.
        Index("members_phone_index_idx", "phone_index", postgresql_where=_LIVE),
        Index("members_removed_phone_index_idx", "phone_index", postgresql_where=text("removed_at IS NOT NULL")),
        Index("members_user_id_idx", "user_id", postgresql_where=text("user_id IS NOT NULL")),
        Index("members_org_id_phone_last4_index_idx", "org_id", "phone_last4_index", postgresql_where=_LIVE),
        Index("members_org_id_pinyin_idx", "org_id", "pinyin", postgresql_where=_LIVE),
        Index("members_org_id_initials_idx", "org_id", "initials", postgresql_where=_LIVE),
        Index(
            "members_org_id_name_grams_idx",
            "org_id",
            "name_grams",
            postgresql_using="gin",
            postgresql_where=_LIVE,
        ),
    )

    org_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"), primary_key=True)
    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, server_default=text("uuidv7()"))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(Text)
    name_grams: Mapped[list[str]] = mapped_column(ARRAY(Text), Computed("name_grams(name)", persisted=True))
    pinyin: Mapped[str] = mapped_column(Text(collation="C"))
    initials: Mapped[str] = mapped_column(Text(collation="C"))
    # All three are NULL for a person without a mobile phone. No user and no sheet is matched to such a row by a phone.
    phone_cipher: Mapped[bytes | None] = mapped_column(LargeBinary)
    phone_index: Mapped[bytes | None] = mapped_column(LargeBinary)
    phone_last4_index: Mapped[bytes | None] = mapped_column(LargeBinary)
    party: Mapped[bool] = mapped_column(Boolean)
    probationary: Mapped[bool] = mapped_column(Boolean, server_default="false", comment="probationary party member")
    post: Mapped[str | None] = mapped_column(Text, comment="post in the org")
    version: Mapped[int] = mapped_column(Integer, server_default="1")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    removed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class UnitMembership(Table):
    """The time range of a member in a unit (S8). Without a unit: at the org itself, in its management group."""

    __tablename__ = "unit_memberships"
    __table_args__ = (
        CheckConstraint("until >= since", name="range"),
        ForeignKeyConstraint(
            ["org_id", "member_id"], ["members.org_id", "members.id"], name="unit_memberships_member_fkey"
        ),
        ForeignKeyConstraint(["org_id", "unit_id"], ["units.org_id", "units.id"], name="unit_memberships_unit_fkey"),
        Index(
            "unit_memberships_org_id_member_id_unit_id_key",
            "org_id",
            "member_id",
            "unit_id",
            unique=True,
            postgresql_where=_OPEN,
            postgresql_nulls_not_distinct=True,
        ),
        Index(
            "unit_memberships_org_id_unit_id_member_id_idx", "org_id", "unit_id", "member_id", postgresql_where=_OPEN
        ),
    )

    org_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, server_default=text("uuidv7()"))
    member_id: Mapped[UUID] = mapped_column(Uuid)
    unit_id: Mapped[UUID | None] = mapped_column(Uuid)
    position: Mapped[int | None] = mapped_column(
        Integer, comment="the place of the person in the unit, from 1; NULL: after the others, by name"
    )
    since: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Activation(Table):
    """The time range in which an account activated a member row (S18). The open range is `members.user_id`."""

    __tablename__ = "activations"
    __table_args__ = (
        CheckConstraint("until >= since", name="range"),
        ForeignKeyConstraint(["org_id", "member_id"], ["members.org_id", "members.id"], name="activations_member_fkey"),
        Index("activations_org_id_member_id_key", "org_id", "member_id", unique=True, postgresql_where=_OPEN),
        # Includes ended ones: reports of past days read them.
        Index(None, "org_id", "member_id"),
        Index(None, "user_id"),
    )

    org_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, server_default=text("uuidv7()"))
    member_id: Mapped[UUID] = mapped_column(Uuid)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    consented_by: Mapped[UUID | None] = mapped_column(
        ForeignKey("users.id"), comment="the admin who linked the row although the phone or the name differs"
    )
    undone_by: Mapped[UUID | None] = mapped_column(
        ForeignKey("users.id"), comment="the admin who undid the link; it is not made again without consent"
    )
    phone_lost: Mapped[bool] = mapped_column(
        Boolean,
        server_default="false",
        comment="ended since another person has the number; the row is linked to none by this number without consent",
    )
    since: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class LinkRequest(ExpiringApproval):
    """A verified user requests that an org link a row of its directory to the user's account.

    `name_key` and `pinyin` are of the user's verified name, to find rows. They are stored only while the request is
    pending.
    """

    __tablename__ = "link_requests"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'accepted', 'declined', 'withdrawn', 'expired')", name="state"),
        CheckConstraint("(state = 'pending') = (name_key IS NOT NULL)", name="name"),
        CheckConstraint("(state = 'pending') = (decided_at IS NULL)", name="decided"),
        ForeignKeyConstraint(
            ["org_id", "member_id"], ["members.org_id", "members.id"], name="link_requests_member_fkey"
        ),
        Index(
            "link_requests_one_open_key", "org_id", "user_id", unique=True, postgresql_where=text("state = 'pending'")
        ),
        Index("link_requests_waiting_idx", "org_id", "name_key", postgresql_where=text("state = 'pending'")),
        Index(None, "user_id", "id"),
    )

    org_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    name_key: Mapped[str | None] = mapped_column(Text)
    pinyin: Mapped[str | None] = mapped_column(Text(collation="C"))
    member_id: Mapped[UUID | None] = mapped_column(Uuid, comment="the row that was linked")
    reason: Mapped[str | None] = mapped_column(Text)
    decided_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))


class NameBookmark(Table):
    """The last row of a table whose name the clean-up `stored-names` has read. A table without one is finished."""

    __tablename__ = "name_bookmarks"

    table_name: Mapped[str] = mapped_column(Text, primary_key=True)
    org_id: Mapped[UUID] = mapped_column(Uuid, comment="for the table orgs, the id of the org itself")
    id: Mapped[UUID] = mapped_column(Uuid)
