"""Loads of the orgs of an old system: the sheet and its rows."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, Integer, LargeBinary, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.database.db import Table


class OrgLoad(Table):
    """One uploaded sheet of orgs: checked into rows, shown, confirmed, loaded, and possibly reversed.

    `preview` numbers the previews: it grows whenever the outcome of a row has changed since the last one.
    """

    __tablename__ = "org_loads"
    __table_args__ = (
        CheckConstraint(
            "state IN ('uploaded', 'checking', 'ready', 'refused', 'confirmed', 'loading', 'done', 'reversing', "
            "'reversed', 'canceled', 'failed')",
            name="state",
        ),
        CheckConstraint("(state = 'refused') = (refusal IS NOT NULL)", name="refusal"),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, server_default=text("uuidv7()"))
    state: Mapped[str] = mapped_column(Text, server_default="uploaded")
    format: Mapped[str] = mapped_column(Text)
    file_name: Mapped[str] = mapped_column(Text)
    refusal: Mapped[Any] = mapped_column(JSONB, nullable=True, comment="the code and what it is about")
    preview: Mapped[int] = mapped_column(Integer, server_default="0")
    rows_total: Mapped[int] = mapped_column(Integer, server_default="0")
    rows_done: Mapped[int] = mapped_column(Integer, server_default="0")
    to_create: Mapped[int] = mapped_column(Integer, server_default="0")
    created: Mapped[int] = mapped_column(Integer, server_default="0")
    present: Mapped[int] = mapped_column(Integer, server_default="0")
    refused: Mapped[int] = mapped_column(Integer, server_default="0")
    reversed: Mapped[int] = mapped_column(Integer, server_default="0")
    created_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    rows_forgotten_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class OrgLoadFile(Table):
    """The uploaded sheet, encrypted in parts. It is deleted after the check."""

    __tablename__ = "org_load_files"

    load_id: Mapped[UUID] = mapped_column(ForeignKey("org_loads.id"), primary_key=True)
    part: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    content_cipher: Mapped[bytes] = mapped_column(LargeBinary)


class OrgLoadRow(Table):
    """One row of a sheet of orgs: its values and its outcome; for a refused row, its cells, encrypted.

    The phone of the main admin is stored until the org is created, and from then on in the offer alone.
    """

    __tablename__ = "org_load_rows"
    __table_args__ = (
        CheckConstraint("outcome IN ('create', 'created', 'present', 'refused', 'reversed')", name="outcome"),
        Index(None, "load_id", "outcome", "row_no"),
        Index("org_load_rows_waiting_idx", "load_id", "level", "row_no", postgresql_where=text("outcome = 'create'")),
    )

    load_id: Mapped[UUID] = mapped_column(ForeignKey("org_loads.id"), primary_key=True)
    row_no: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    new_id: Mapped[UUID] = mapped_column(Uuid, comment="the id of the org, if the load creates it")
    offer_id: Mapped[UUID] = mapped_column(Uuid, comment="what phone_cipher is bound to")
    number: Mapped[str | None] = mapped_column(Text)
    name: Mapped[str | None] = mapped_column(Text)
    pinyin: Mapped[str | None] = mapped_column(Text(collation="C"))
    initials: Mapped[str | None] = mapped_column(Text(collation="C"))
    sort_key: Mapped[str | None] = mapped_column(Text(collation="C"))
    kind: Mapped[str | None] = mapped_column(Text)
    region_code: Mapped[str | None] = mapped_column(Text)
    superior: Mapped[str] = mapped_column(Text, comment="as typed: a number, a name, a path or an id")
    admin_name: Mapped[str | None] = mapped_column(Text)
    phone_cipher: Mapped[bytes | None] = mapped_column(LargeBinary)
    cells_cipher: Mapped[bytes | None] = mapped_column(
        LargeBinary, comment="the cells as typed, until the org is created"
    )
    level: Mapped[int | None] = mapped_column(Integer, comment="0: its superior is no row of the sheet")
    superior_row: Mapped[int | None] = mapped_column(Integer)
    superior_id: Mapped[UUID | None] = mapped_column(Uuid, comment="the superior, if it exists already")
    present_id: Mapped[UUID | None] = mapped_column(Uuid, comment="the org, if it exists already")
    outcome: Mapped[str] = mapped_column(Text)
    problems: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    warnings: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    related_rows: Mapped[list[int]] = mapped_column(ARRAY(Integer), server_default="{}")
