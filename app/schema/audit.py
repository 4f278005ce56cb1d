"""The audit entries with their seals, and the outgoing events (outbox). Triggers make the tables append-only.

Entries and events are partitioned by id, one partition per month (Asia/Shanghai): the ids are version 7 UUIDs, which
begin with their time. The first partition has the rows from before there were partitions.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Index, Integer, LargeBinary, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import INET, JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import UserDefinedType

from app.database.db import Table


class Xid8(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id. It orders events by commit: `xid < pg_snapshot_xmin(…)` is final."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid8"


class AuditEntry(Table):
    __tablename__ = "audit_entries"
    __table_args__ = (Index(None, "org_id", "id"), {"postgresql_partition_by": "RANGE (id)"})

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, server_default=text("uuidv7()"))
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    org_id: Mapped[UUID | None] = mapped_column(Uuid)
    user_id: Mapped[UUID | None] = mapped_column(Uuid)
    client_id: Mapped[str | None] = mapped_column(Text)
    address: Mapped[str | None] = mapped_column(INET)
    request_id: Mapped[str | None] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    subject_type: Mapped[str] = mapped_column(Text)
    subject_id: Mapped[UUID | None] = mapped_column(Uuid)
    before: Mapped[Any] = mapped_column(JSONB, nullable=True)
    after: Mapped[Any] = mapped_column(JSONB, nullable=True)


class OutgoingEvent(Table):
    __tablename__ = "outgoing_events"
    __table_args__ = (Index(None, "transaction", "id"), {"postgresql_partition_by": "RANGE (id)"})

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, server_default=text("uuidv7()"))
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    transaction: Mapped[int] = mapped_column(Xid8, server_default=text("pg_current_xact_id()"))
    type: Mapped[str] = mapped_column(Text)
    org_id: Mapped[UUID | None] = mapped_column(Uuid)
    subject_type: Mapped[str] = mapped_column(Text)
    subject_id: Mapped[UUID | None] = mapped_column(Uuid)
    audit_entry_id: Mapped[UUID] = mapped_column(Uuid)


class AuditSeal(Table):
    """A hash over consecutive audit entries and the seal before. An entry that is changed, removed or inserted later
    no longer fits."""

    __tablename__ = "audit_seals"

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    sealed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    last_id: Mapped[UUID] = mapped_column(Uuid, comment="the seal covers the entries after that of the one before")
    entries: Mapped[int] = mapped_column(Integer)
    digests: Mapped[bytes] = mapped_column(LargeBinary, comment="24 bytes an entry: its id, the start of its digest")
    hash: Mapped[bytes] = mapped_column(LargeBinary, comment="SHA-256 of the hash before, the number, the digests")
