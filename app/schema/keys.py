"""The progress of index key rotations."""

from datetime import datetime

from sqlalchemy import DateTime, Integer, LargeBinary, func
from sqlalchemy.orm import Mapped, mapped_column

from app.database.db import Table


class IndexRotation(Table):
    """One rotation of the index key to the key of this generation (the first key has 0)."""

    __tablename__ = "index_rotations"

    generation: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    key_check: Mapped[bytes] = mapped_column(LargeBinary, comment="tells the key from any other, and nothing of it")
    moved_below: Mapped[bytes] = mapped_column(
        LargeBinary, comment="values whose index by the keys before is below this are indexed by the new key"
    )
    begun_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
