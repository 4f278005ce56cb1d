"""The copies of their own data that people request."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKey, Index, LargeBinary, Text, Uuid, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database.db import Table


class DataCopy(Table):
    """The copy of the data of one user: waiting → running → done or failed. The row is deleted when it expires."""

    __tablename__ = "data_copies"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'running', 'done', 'failed')", name="state"),
        CheckConstraint("(state = 'done') = (content_cipher IS NOT NULL)", name="content"),
        Index("data_copies_user_id_key", "user_id", unique=True),
        Index(None, "expires_at"),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, server_default=text("uuidv7()"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    state: Mapped[str] = mapped_column(Text, server_default="waiting")
    size: Mapped[int | None] = mapped_column(BigInteger, comment="in bytes")
    content_cipher: Mapped[bytes | None] = mapped_column(LargeBinary, comment="the file, encrypted")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), comment="the row and its file are deleted after this time"
    )
