"""Messages to users."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Index, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.database.db import Table


class Message(Table):
    """A notice for one user about something that has happened. Its text is built from `kind` when the user reads the
    message.

    The table has no foreign keys. They would lock the account and the orgs at the end of every transaction that adds a
    message, which the order of locks forbids (docs/LOCKING.md). They are not needed, because no account and no org is
    ever deleted.
    """

    __tablename__ = "messages"
    __table_args__ = (
        Index("messages_unread_idx", "user_id", "id", postgresql_where=text("read_at IS NULL")),
        Index(None, "created_at"),
    )

    user_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, server_default=text("uuidv7()"))
    kind: Mapped[str] = mapped_column(Text)
    org_id: Mapped[UUID | None] = mapped_column(Uuid, comment="the org in the text")
    subject_type: Mapped[str | None] = mapped_column(Text, comment="the kind of request")
    subject_id: Mapped[UUID | None] = mapped_column(Uuid)
    parameters: Mapped[dict[str, Any]] = mapped_column(
        JSONB, server_default="{}", comment="a reason or counts; never a phone or a text for display"
    )
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    read_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
