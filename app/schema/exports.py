"""Exports: the requester, the progress, and the file, encrypted in parts, until it expires."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
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
    false,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.database.db import Table


class Export(Table):
    """One requested file: waiting → running → done or failed. The row is deleted when it expires."""

    __tablename__ = "exports"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'running', 'done', 'failed')", name="state"),
        CheckConstraint("format IN ('xlsx', 'csv')", name="format"),
        CheckConstraint("(state = 'failed') = (failure IS NOT NULL)", name="failure"),
        Index(None, "expires_at"),
        Index(None, "created_by", "org_id", "id"),
    )

    org_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"), primary_key=True)
    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, server_default=text("uuidv7()"))
    kind: Mapped[str] = mapped_column(Text, comment="the name of the ExportKind")
    permission: Mapped[str] = mapped_column(Text, comment="the permission in the org that each download requires")
    format: Mapped[str] = mapped_column(Text)
    english: Mapped[bool] = mapped_column(
        Boolean, server_default=false(), comment="not used since migration 0026: the job has the language"
    )
    question_cipher: Mapped[bytes] = mapped_column(
        LargeBinary, comment="the encrypted filters of the request; they can contain a person's name"
    )
    state: Mapped[str] = mapped_column(Text, server_default="waiting")
    failure: Mapped[str | None] = mapped_column(Text, comment="the code of the failure")
    rows_total: Mapped[int | None] = mapped_column(Integer, comment="NULL: not counted yet")
    rows_done: Mapped[int] = mapped_column(Integer, server_default="0")
    size: Mapped[int | None] = mapped_column(BigInteger, comment="in bytes")
    created_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), comment="the row and its parts are deleted after this time"
    )


class ExportPart(Table):
    """A part of the file. Its encryption is bound to the export and to the place of the part."""

    __tablename__ = "export_parts"
    __table_args__ = (
        ForeignKeyConstraint(
            ["org_id", "export_id"],
            ["exports.org_id", "exports.id"],
            name="export_parts_export_fkey",
            ondelete="CASCADE",
        ),
    )

    org_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    export_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    part: Mapped[int] = mapped_column(
        Integer, primary_key=True, autoincrement=False, comment="the place of the part in the file, from 0"
    )
    content_cipher: Mapped[bytes] = mapped_column(LargeBinary, comment="encryption bound to the export and the part")
