"""Orgs and their units."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Computed,
    Date,
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
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.database.db import Table
from app.schema.approvals import ExpiringApproval, Offer


class Org(Table):
    """A learning organisation (学习组织). It has exactly one main admin: the column refers to one of its admins
    (checked at commit, so that both rows can be written together).

    Only an org that a load has created (`load_id`) can have none, until the first person accepts the offer to be it. A
    trigger refuses to set the column to null again.

    `version` counts every change of its card: name, region, main admin, superior, status.
    """

    __tablename__ = "orgs"
    __table_args__ = (
        CheckConstraint("kind IN ('party', 'outside-party')", name="kind"),
        CheckConstraint("(status = 'closed') = (closed_at IS NOT NULL)", name="closed"),
        CheckConstraint("status IN ('live', 'closed')", name="status"),
        CheckConstraint("main_admin_id IS NOT NULL OR load_id IS NOT NULL", name="main_admin"),
        CheckConstraint("region_code ~ '^[0-9]{6}([0-9]{3}([0-9]{3})?)?$'", name="region_code"),
        ForeignKeyConstraint(
            ["id", "main_admin_id"],
            ["org_admins.org_id", "org_admins.user_id"],
            name="orgs_main_admin_fkey",
            deferrable=True,
            initially="DEFERRED",
            use_alter=True,
        ),
        # A live certification copies the subordinate's name, so that an index makes siblings' names unique.
        UniqueConstraint("id", "name"),
        Index("orgs_region_code_name_key_idx", "region_code", text("name_key(name)")),
        Index(None, "sort_key", "id"),
        Index("orgs_name_grams_idx", "name_grams", postgresql_using="gin"),
        Index(None, "pinyin"),
        Index(None, "initials"),
        # Partial indexes for rare states, in the order of the lists.
        Index("orgs_closed_by_key_idx", "sort_key", "id", postgresql_where=text("status = 'closed'")),
        Index("orgs_outside_party_by_key_idx", "sort_key", "id", postgresql_where=text("kind = 'outside-party'")),
        # The reversal of a load closes its orgs from the last one on, and reads no closed org again.
        Index("orgs_of_load_idx", "load_id", "id", postgresql_where=text("load_id IS NOT NULL AND status = 'live'")),
        Index("orgs_without_sort_key_idx", "id", postgresql_where=text("sort_key = ''")),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, server_default=text("uuidv7()"))
    name: Mapped[str] = mapped_column(Text)
    name_grams: Mapped[list[str]] = mapped_column(
        ARRAY(Text),
        Computed("name_grams(name)", persisted=True),
        comment="characters and pairs of adjacent characters of the name, for the search",
    )
    pinyin: Mapped[str] = mapped_column(Text(collation="C"), comment="the pinyin of the name")
    initials: Mapped[str] = mapped_column(Text(collation="C"), comment="the first letters of the pinyin")
    # `core.sort_keys`; empty for an org from before the column, until the clean-up `sort-keys` has written it.
    sort_key: Mapped[str] = mapped_column(
        Text(collation="C"), server_default="", comment="the key of lists by name; empty: not computed yet"
    )
    region_code: Mapped[str] = mapped_column(Text, comment="the administrative division code, 6, 9 or 12 digits")
    kind: Mapped[str] = mapped_column(Text)
    main_admin_id: Mapped[UUID | None] = mapped_column(Uuid, comment="an admin of the org; checked at commit")
    load_id: Mapped[UUID | None] = mapped_column(ForeignKey("org_loads.id"), comment="the load that created the org")
    status: Mapped[str] = mapped_column(Text, server_default="live")
    version: Mapped[int] = mapped_column(
        Integer, server_default="1", comment="the number of changes of name, region, main admin, superior and status"
    )
    created_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    closed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Closure(ExpiringApproval):
    """The closing of an org (S20): requested by an admin, accepted by the main admin. An accepted closing can be undone
    for 7 days (`reopened_at`).

    `superior_id` is the superior that the org had when it was closed.
    """

    __tablename__ = "closures"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'accepted', 'declined', 'withdrawn', 'expired')", name="state"),
        CheckConstraint("(state = 'pending') = (decided_at IS NULL)", name="decided"),
        CheckConstraint("(reopened_at IS NULL) = (reopened_by IS NULL)", name="reopened"),
        Index(None, "org_id", "id"),
        Index("closures_one_open_key", "org_id", unique=True, postgresql_where=text("state = 'pending'")),
    )

    org_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"))
    requested_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    decided_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    superior_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("orgs.id"), comment="the superior of the org when it was closed"
    )
    reopened_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True), comment="when the closing was undone")
    reopened_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"), comment="the user who undid the closing")


class Merger(ExpiringApproval):
    """A request of `org_id` to merge into `to_id` (S20). The receiving org decides where the people and units come.

    After the acceptance `org_id` is closed for good. `unit_id` is the unit of the receiving org that took them in, NULL
    if it is the org itself. `people`, `in_both` and `units` are the numbers of people that came, of those that were in
    both orgs, and of units that came.
    """

    __tablename__ = "mergers"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'accepted', 'declined', 'withdrawn', 'expired')", name="state"),
        CheckConstraint("(state = 'pending') = (decided_at IS NULL)", name="decided"),
        CheckConstraint(
            "num_nulls(people, in_both, units) = CASE state WHEN 'accepted' THEN 0 ELSE 3 END", name="result"
        ),
        CheckConstraint("to_id <> org_id", name="elsewhere"),
        ForeignKeyConstraint(["to_id", "unit_id"], ["units.org_id", "units.id"], name="mergers_unit_fkey"),
        Index(None, "org_id", "id"),
        Index(None, "to_id", "id"),
        Index("mergers_one_open_key", "org_id", unique=True, postgresql_where=text("state = 'pending'")),
        Index("mergers_waiting_idx", "to_id", postgresql_where=text("state = 'pending'")),
    )

    org_id: Mapped[UUID] = mapped_column(
        ForeignKey("orgs.id"), comment="the org that merges into another org and is closed"
    )
    to_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"), comment="the receiving org")
    unit_id: Mapped[UUID | None] = mapped_column(
        Uuid, comment="the unit of the receiving org that the people joined; NULL: the org itself"
    )
    people: Mapped[int | None] = mapped_column(Integer, comment="the number of people transferred")
    in_both: Mapped[int | None] = mapped_column(Integer, comment="the number of people who were in both orgs")
    units: Mapped[int | None] = mapped_column(Integer, comment="the number of units transferred")
    requested_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    decided_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    reason: Mapped[str | None] = mapped_column(Text)


class Unit(Table):
    """A part of one org's own tree (S7): a branch, a general branch, a temporary branch, a party group or
    a department. Units nest and have no admins.

    A removed unit keeps its row for the unit memberships of past days. Triggers refuse new members and new units in a
    removed unit. A new unit follows its siblings: the database sets its `position`.

    `name_number` is 0, but for siblings that had one name before names were compared by their keys. The database sets
    it to 0 when the unit is renamed or moved.
    """

    __tablename__ = "units"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('branch', 'general-branch', 'department', 'party-group', 'temporary-branch')", name="kind"
        ),
        CheckConstraint("(kind = 'temporary-branch') = (last_day IS NOT NULL)", name="last_day"),
        CheckConstraint("parent_id <> id", name="parent"),
        ForeignKeyConstraint(["org_id", "parent_id"], ["units.org_id", "units.id"], name="units_parent_fkey"),
        Index(
            "units_org_id_parent_id_name_key",
            "org_id",
            "parent_id",
            text("name_key(name)"),
            "name_number",
            unique=True,
            postgresql_nulls_not_distinct=True,
            postgresql_where=text("removed_at IS NULL"),
        ),
        Index("units_children_idx", "org_id", "parent_id", "position"),
        Index(
            "units_last_day_idx",
            "last_day",
            postgresql_where=text("last_day IS NOT NULL AND end_reported_at IS NULL AND removed_at IS NULL"),
        ),
    )

    org_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"), primary_key=True)
    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, server_default=text("uuidv7()"))
    parent_id: Mapped[UUID | None] = mapped_column(Uuid, comment="NULL: directly under the org")
    name: Mapped[str] = mapped_column(Text)
    name_number: Mapped[int] = mapped_column(
        Integer,
        server_default="0",
        comment="0, except for siblings that had one name before migration 0031",
    )
    kind: Mapped[str] = mapped_column(Text)
    position: Mapped[int] = mapped_column(Integer, comment="the place among its siblings, from 0")
    last_day: Mapped[date | None] = mapped_column(Date, comment="the last day of a temporary branch (Asia/Shanghai)")
    end_reported_at: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True), comment="when the admins were notified of the end of the temporary branch"
    )
    version: Mapped[int] = mapped_column(Integer, server_default="1")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    removed_at: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True), comment="a removed unit stays for the unit memberships of past days"
    )


class Promotion(Offer):
    """An offer to make a unit an org of its own (S7). The person who accepts it becomes its main admin."""

    __tablename__ = "promotions"
    __table_args__ = (
        CheckConstraint(
            "state IN ('pending', 'accepted', 'declined', 'withdrawn', 'expired', 'superseded')",
            name="state",
        ),
        CheckConstraint("(state = 'pending') = (phone_cipher IS NOT NULL)", name="phone"),
        CheckConstraint("(state = 'accepted') = (new_org_id IS NOT NULL)", name="new_org"),
        ForeignKeyConstraint(["org_id", "unit_id"], ["units.org_id", "units.id"], name="promotions_unit_fkey"),
        Index(None, "org_id", "id"),
        Index(
            "promotions_one_open_key",
            "org_id",
            "unit_id",
            unique=True,
            postgresql_where=text("state = 'pending'"),
        ),
        Index("promotions_phone_index_idx", "phone_index", postgresql_where=text("state = 'pending'")),
        Index("promotions_any_phone_index_idx", "phone_index"),
        Index(None, "invitee_id", postgresql_where=text("invitee_id IS NOT NULL")),
    )

    org_id: Mapped[UUID] = mapped_column(Uuid)
    unit_id: Mapped[UUID] = mapped_column(Uuid)
    name: Mapped[str] = mapped_column(Text, comment="the name of the new org")
    region_code: Mapped[str] = mapped_column(Text, comment="the region of the new org")
    requested_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    new_org_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("orgs.id"), comment="the org that the acceptance created"
    )
