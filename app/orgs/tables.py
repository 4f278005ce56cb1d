"""Organisations, and the units inside one."""

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
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Table


class Org(Table):
    """A learning organisation (学习组织). It has exactly one main admin, by its shape: a column that is never null
    and must name one of its admins (the reference is checked at commit, so that both rows can be written at once)."""

    __tablename__ = "orgs"
    __table_args__ = (
        CheckConstraint("kind IN ('party', 'outside_party')", name="kind"),
        CheckConstraint("(status = 'closed') = (closed_at IS NOT NULL)", name="closed"),
        CheckConstraint("status IN ('live', 'closed')", name="status"),
        CheckConstraint("region_code ~ '^[0-9]{6}([0-9]{3}([0-9]{3})?)?$'", name="region_code"),
        ForeignKeyConstraint(
            ["id", "main_admin_id"],
            ["org_admins.org_id", "org_admins.user_id"],
            name="orgs_main_admin_fkey",
            deferrable=True,
            initially="DEFERRED",
            use_alter=True,
        ),
        # A certification repeats the name of its live subordinate, so that siblings' names are unique by an index.
        UniqueConstraint("id", "name"),
        Index(None, "region_code", "name"),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, server_default=text("uuidv7()"))
    name: Mapped[str] = mapped_column(Text)
    region_code: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    main_admin_id: Mapped[UUID] = mapped_column(Uuid)
    status: Mapped[str] = mapped_column(Text, server_default="live")
    version: Mapped[int] = mapped_column(Integer, server_default="1")
    created_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    closed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Unit(Table):
    """A part of one org's own tree (S7): a branch, a general branch or a department. Units nest and have no admins."""

    __tablename__ = "units"
    __table_args__ = (
        CheckConstraint("kind IN ('branch', 'general_branch', 'department')", name="kind"),
        CheckConstraint("parent_id <> id", name="parent"),
        ForeignKeyConstraint(["org_id", "parent_id"], ["units.org_id", "units.id"], name="units_parent_fkey"),
        Index(
            "units_org_id_parent_id_name_key",
            "org_id",
            "parent_id",
            "name",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
    )

    org_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"), primary_key=True)
    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, server_default=text("uuidv7()"))
    parent_id: Mapped[UUID | None] = mapped_column(Uuid)
    name: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    position: Mapped[int] = mapped_column(Integer, server_default="0")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
