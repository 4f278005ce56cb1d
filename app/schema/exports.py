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
    kind: Mapped[str] = mapped_column(Text)
    permission: Mapped[str] = mapped_column(Text, comment="what whoever reads it must hold in the org at that moment")
    format: Mapped[str] = mapped_column(Text)
    english: Mapped[bool] = mapped_column(
        Boolean, server_default=false(), comment="not used: the job has the language; goes with the next release"
    )
    question_cipher: Mapped[bytes] = mapped_column(LargeBinary, comment="what is asked for; it may name a person")
    state: Mapped[str] = mapped_column(Text, server_default="waiting")
    failure: Mapped[str | None] = mapped_column(Text)
    rows_total: Mapped[int | None] = mapped_column(Integer)
    rows_done: Mapped[int] = mapped_column(Integer, server_default="0")
    size: Mapped[int | None] = mapped_column(BigInteger)
    created_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


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
    part: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    content_cipher: Mapped[bytes] = mapped_column(LargeBinary)
