"""Invitations, certifications (one row per edge of the hierarchy, with its time range), and transfers of orgs."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Text,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.schema.approvals import Approval
from app.schema.links import OrgLink


class Invitation(OrgLink):
    """A superior's invitation (S6)."""

    __tablename__ = "invitations"
    __table_args__ = (
        CheckConstraint("uses BETWEEN 0 AND max_uses", name="uses"),
        Index("invitations_token_hash_key", "token_hash", unique=True),
        Index(None, "org_id", "id"),
    )


class Certification(Approval):
    """An application (认证申请) and, after it is accepted, its edge of the hierarchy: pending → live → ended, or
    pending → declined or withdrawn.

    For every writer, a trigger takes the hierarchy lock and refuses a circle or a closed org. `subordinate_name` is
    stored only while the edge is live. It follows the org's name by a foreign key and makes siblings' names unique
    (S2). Triggers copy the org's sort key, for the lists by name. `name_number` is 0, but for siblings that had one
    name before names were compared by their keys.
    """

    __tablename__ = "certifications"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'live', 'ended', 'declined', 'withdrawn')", name="state"),
        CheckConstraint("superior_id <> subordinate_id", name="self"),
        CheckConstraint("(state = 'live') = (subordinate_name IS NOT NULL)", name="live_name"),
        CheckConstraint("(state IN ('live', 'ended')) = (certified_at IS NOT NULL)", name="certified_at"),
        CheckConstraint("(state = 'ended') = (ended_at IS NOT NULL)", name="ended_at"),
        ForeignKeyConstraint(
            ["subordinate_id", "subordinate_name"],
            ["orgs.id", "orgs.name"],
            name="certifications_subordinate_name_fkey",
            onupdate="CASCADE",
        ),
        Index(
            "certifications_one_superior_key",
            "subordinate_id",
            unique=True,
            postgresql_where=text("state = 'live'"),
            postgresql_include=["superior_id"],
        ),
        Index(
            "certifications_sibling_name_key",
            "superior_id",
            text("name_key(subordinate_name)"),
            "name_number",
            unique=True,
            postgresql_nulls_not_distinct=True,
            postgresql_where=text("state = 'live'"),
        ),
        Index(
            "certifications_by_sort_key_idx",
            "superior_id",
            "subordinate_sort_key",
            "subordinate_id",
            postgresql_where=text("state = 'live'"),
        ),
        Index(
            "certifications_one_open_key",
            "subordinate_id",
            unique=True,
            postgresql_where=text("state = 'pending'"),
        ),
        Index("certifications_received_idx", "superior_id", "id"),
        Index("certifications_waiting_idx", "superior_id", "id", postgresql_where=text("state = 'pending'")),
        Index(None, "subordinate_id", "id"),
    )

    superior_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"))
    subordinate_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"))
    subordinate_name: Mapped[str | None] = mapped_column(
        Text, comment="a copy of the org's name while the edge is live, for the unique index"
    )
    subordinate_sort_key: Mapped[str] = mapped_column(
        Text(collation="C"), server_default="", comment="a copy of the org's sort key"
    )
    name_number: Mapped[int] = mapped_column(
        Integer,
        server_default="0",
        comment="0, except for siblings that had one name before migration 0031",
    )
    invitation_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("invitations.id"), comment="NULL: no invitation, as after a promotion"
    )
    requested_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    decided_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    reason: Mapped[str | None] = mapped_column(Text, comment="the reason for the refusal")
    certified_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Transfer(Approval):
    """The move of an org from one superior to another (整体转移, S20), with two consents: the present superior releases
    the org (`released_at`), then the new superior accepts it.

    `certification_id` is the edge that the org leaves. If that edge has ended, the transfer is superseded.
    """

    __tablename__ = "transfers"
    __table_args__ = (
        CheckConstraint(
            "state IN ('pending', 'accepted', 'declined', 'withdrawn', 'superseded')",
            name="state",
        ),
        CheckConstraint("(state = 'pending') = (decided_at IS NULL)", name="decided"),
        Index(
            "transfers_one_open_key",
            "org_id",
            unique=True,
            postgresql_where=text("state = 'pending'"),
        ),
        Index(None, "org_id", "id"),
        Index(None, "from_id", "id"),
        Index(None, "to_id", "id"),
    )

    org_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"))
    from_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"), comment="the superior that the org leaves")
    to_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"), comment="the new superior")
    certification_id: Mapped[UUID] = mapped_column(
        ForeignKey("certifications.id"), comment="the edge that the org leaves"
    )
    invitation_id: Mapped[UUID] = mapped_column(ForeignKey("invitations.id"))
    requested_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    released_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    released_at: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True), comment="when the present superior released the org"
    )
    decided_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    reason: Mapped[str | None] = mapped_column(Text, comment="the reason for the refusal")
