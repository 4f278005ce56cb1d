"""Imports of people: the uploaded sheets, their rows, and what an import has changed (S9)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    CheckConstraint,
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
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.database.db import Table


class Import(Table):
    """One uploaded sheet on its way into the directory (S9): checked into rows, shown, confirmed, merged."""

    __tablename__ = "imports"
    __table_args__ = (
        CheckConstraint(
            "state IN ('uploaded', 'checking', 'ready', 'refused', "
            "'confirmed', 'merging', 'done', 'canceled', 'failed')",
            name="state",
        ),
        CheckConstraint("mode IN ('add-and-update', 'replace-all', 'replace-unit')", name="mode"),
        CheckConstraint("(mode = 'replace-unit') = (unit_id IS NOT NULL)", name="unit"),
        CheckConstraint("units IN ('keep', 'replace')", name="units"),
        CheckConstraint("unknown_units IN ('refuse', 'create')", name="unknown_units"),
        CheckConstraint("(state = 'refused') = (refusal IS NOT NULL)", name="refusal"),
    )

    org_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"), primary_key=True)
    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, server_default=text("uuidv7()"))
    state: Mapped[str] = mapped_column(Text, server_default="uploaded")
    mode: Mapped[str] = mapped_column(Text)
    unit_id: Mapped[UUID | None] = mapped_column(Uuid, comment="the unit that replace-unit replaces")
    units: Mapped[str] = mapped_column(
        Text, server_default="keep", comment="what becomes of the other units of a person in several units"
    )
    unknown_units: Mapped[str] = mapped_column(Text)
    format: Mapped[str] = mapped_column(Text)
    file_name: Mapped[str] = mapped_column(Text)
    refusal: Mapped[Any] = mapped_column(JSONB, nullable=True, comment="the code of the problem and its parameters")
    reading_options: Mapped[Any] = mapped_column(
        JSONB, server_default="{}", comment="what an admin chose: columns, sheets, whether units are filled down"
    )
    reading: Mapped[Any] = mapped_column(
        JSONB, nullable=True, comment="what was read: sheets, columns, and the skipped rows by cause"
    )
    rows_total: Mapped[int] = mapped_column(Integer, server_default="0")
    rows_done: Mapped[int] = mapped_column(Integer, server_default="0")
    added: Mapped[int] = mapped_column(Integer, server_default="0")
    changed: Mapped[int] = mapped_column(Integer, server_default="0")
    moved: Mapped[int] = mapped_column(Integer, server_default="0")
    leaving: Mapped[int] = mapped_column(Integer, server_default="0")
    unchanged: Mapped[int] = mapped_column(Integer, server_default="0")
    refused: Mapped[int] = mapped_column(Integer, server_default="0")
    undecided: Mapped[int] = mapped_column(Integer, server_default="0")
    unidentified: Mapped[int] = mapped_column(
        Integer, server_default="0", comment="refused rows that do not say whom they are about"
    )
    new_units: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    people: Mapped[int] = mapped_column(Integer, server_default="0", comment="the people in the directory at the check")
    accepted_leaving: Mapped[int | None] = mapped_column(Integer)
    preview: Mapped[int] = mapped_column(Integer, server_default="0", comment="number of the preview that is shown")
    directory_digest: Mapped[str | None] = mapped_column(Text, comment="of the directory that the preview was made of")
    created_units: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), server_default="{}")
    created_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    reversed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    reversed_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    rows_forgotten_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class ImportFile(Table):
    """The uploaded sheet, encrypted in parts. It is stored until the import is over, so that an admin can have it read
    in another way."""

    __tablename__ = "import_files"
    __table_args__ = (
        ForeignKeyConstraint(
            ["org_id", "import_id"],
            ["imports.org_id", "imports.id"],
            name="import_files_import_fkey",
            ondelete="CASCADE",
        ),
    )

    org_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    import_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    part: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    content_cipher: Mapped[bytes] = mapped_column(LargeBinary)


class ImportRow(Table):
    """One row of an uploaded sheet: its values and its outcome; for a refused row, its cells, encrypted.

    `row_no` counts through the sheets that were read; `imports.reading` says where each begins.
    """

    __tablename__ = "import_rows"
    __table_args__ = (
        CheckConstraint(
            "outcome IN ('added', 'changed', 'moved', 'unchanged', 'undecided', 'refused')", name="outcome"
        ),
        CheckConstraint("decision IN ('accepted', 'separate')", name="decision"),
        ForeignKeyConstraint(
            ["org_id", "import_id"],
            ["imports.org_id", "imports.id"],
            name="import_rows_import_fkey",
            ondelete="CASCADE",
        ),
    )

    org_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    import_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    row_no: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    new_member_id: Mapped[UUID] = mapped_column(
        Uuid, comment="the id for a new member; the encryption of phone_cipher is bound to it"
    )
    member_id: Mapped[UUID | None] = mapped_column(Uuid)
    name: Mapped[str | None] = mapped_column(Text)
    pinyin: Mapped[str | None] = mapped_column(Text(collation="C"))
    initials: Mapped[str | None] = mapped_column(Text(collation="C"))
    phone_cipher: Mapped[bytes | None] = mapped_column(LargeBinary)
    phone_index: Mapped[bytes | None] = mapped_column(LargeBinary)
    phone_last4_index: Mapped[bytes | None] = mapped_column(LargeBinary)
    masked_phone: Mapped[str | None] = mapped_column(
        Text, comment="where the sheet has a masked phone: phone_last4_index is of its last digits"
    )
    known_id: Mapped[UUID | None] = mapped_column(Uuid, comment="the member whose number (编号) is in the sheet")
    unit_path: Mapped[str | None] = mapped_column(Text)
    party: Mapped[bool | None] = mapped_column(Boolean)
    probationary: Mapped[bool | None] = mapped_column(Boolean)
    post: Mapped[str | None] = mapped_column(Text)
    cells_cipher: Mapped[bytes | None] = mapped_column(
        LargeBinary, comment="the encrypted cells of a row that could not be parsed"
    )
    outcome: Mapped[str] = mapped_column(Text)
    decision: Mapped[str | None] = mapped_column(Text, comment="of the admin, about an undecided row")
    problems: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    warnings: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    related_rows: Mapped[list[int]] = mapped_column(ARRAY(Integer), server_default="{}")


class ImportHeading(Table):
    """What an admin of the org chose to read under a heading. Later sheets of the org are read in the same way."""

    __tablename__ = "import_headings"
    __table_args__ = (
        CheckConstraint("field IN ('name', 'phone', 'unit', 'party', 'party-kind', 'post', 'number')", name="field"),
    )

    org_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"), primary_key=True)
    heading: Mapped[str] = mapped_column(Text, primary_key=True, comment="normalized")
    field: Mapped[str | None] = mapped_column(Text, comment="NULL: the column is not read")
    chosen_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class ImportChange(Table):
    """A person of the directory whom an import changes, moves or removes, or about whom an admin decides.

    `before` and `after` have the values that change: `name`, `units` (paths), `party`, `probationary`, `post`,
    `active`.
    """

    __tablename__ = "import_changes"
    __table_args__ = (
        CheckConstraint("outcome IN ('changed', 'moved', 'undecided', 'left')", name="outcome"),
        ForeignKeyConstraint(
            ["org_id", "import_id"],
            ["imports.org_id", "imports.id"],
            name="import_changes_import_fkey",
            ondelete="CASCADE",
        ),
        Index(None, "org_id", "import_id", "outcome", "member_id"),
    )

    org_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    import_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    member_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    row_no: Mapped[int | None] = mapped_column(Integer, comment="the first row about the person")
    outcome: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    before: Mapped[Any] = mapped_column(JSONB)
    after: Mapped[Any] = mapped_column(JSONB)
    phone_cipher: Mapped[bytes | None] = mapped_column(
        LargeBinary, comment="the phone before, where it changes; bound to the member"
    )
    new_phone: Mapped[bool] = mapped_column(Boolean, server_default="false", comment="whether the phone changes")
    version: Mapped[int | None] = mapped_column(Integer, comment="of the member's row after the merge")


class ImportUnit(Table):
    """A unit that a sheet names and the org does not have, and what an admin chose to do with it."""

    __tablename__ = "import_units"
    __table_args__ = (
        CheckConstraint("choice IN ('create', 'use', 'skip')", name="choice"),
        CheckConstraint("(choice = 'use') = (unit_id IS NOT NULL)", name="unit"),
        ForeignKeyConstraint(
            ["org_id", "import_id"],
            ["imports.org_id", "imports.id"],
            name="import_units_import_fkey",
            ondelete="CASCADE",
        ),
    )

    org_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    import_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True, comment="name_key of the path")
    path: Mapped[str] = mapped_column(Text)
    rows: Mapped[int] = mapped_column(Integer)
    first_row: Mapped[int] = mapped_column(Integer)
    choice: Mapped[str | None] = mapped_column(Text)
    unit_id: Mapped[UUID | None] = mapped_column(Uuid)
