"""The keys of the data, and the progress of index key rotations. The keys themselves are never stored."""

from datetime import datetime

from sqlalchemy import DateTime, Integer, LargeBinary, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from app.database.db import Table


class IndexRotation(Table):
    """One rotation of the index key to the key of this generation. The first key has 0 and a row too."""

    __tablename__ = "index_rotations"

    generation: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    key_check: Mapped[bytes] = mapped_column(LargeBinary, comment="identifies the key without disclosing it")
    moved_below: Mapped[bytes] = mapped_column(
        LargeBinary, comment="progress: values with a previous index below this one have their new index"
    )
    begun_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class DataKey(Table):
    """A data key by which values may be encrypted. A process adds its first key when it starts."""

    __tablename__ = "data_keys"

    key_id: Mapped[str] = mapped_column(Text, primary_key=True)
    key_check: Mapped[bytes] = mapped_column(LargeBinary, comment="identifies the key without disclosing it")
    used_since: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
