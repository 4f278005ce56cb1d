"""Reads of data copies. Only the user whose data it is can read it."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, func, select

from app.core.cipher import Cipher
from app.database.db import Readable
from app.database.rows import fetch_row, one_or_404
from app.exports.errors import ExportExpired, ExportNotReady
from app.personal_data.schemas import DataCopyOut
from app.schema.personal_data import DataCopy


class _CopyRow(NamedTuple):
    id: UUID
    state: str
    size: int | None
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime
    expired: bool


class _FileRow(NamedTuple):
    content_cipher: bytes


_OWN_COPY = select(
    DataCopy.id,
    DataCopy.state,
    DataCopy.size,
    DataCopy.created_at,
    DataCopy.finished_at,
    DataCopy.expires_at,
    (DataCopy.expires_at <= func.now()).label("expired"),
).where(DataCopy.user_id == bindparam("user_id"))
_COPY = _OWN_COPY.where(DataCopy.id == bindparam("copy_id"))
_FILE = select(DataCopy.content_cipher).where(
    DataCopy.id == bindparam("copy_id"), DataCopy.user_id == bindparam("user_id"), DataCopy.state == "done"
)


async def find_copy(db: Readable, user_id: UUID) -> DataCopyOut | None:
    """Return the user's copy, or None if there is none or it has expired."""
    row = await fetch_row(db, _OWN_COPY, _CopyRow, {"user_id": user_id})
    return None if row is None or row.expired else _build_copy(row)


async def get_copy(db: Readable, user_id: UUID, copy_id: UUID) -> DataCopyOut:
    """Return the user's copy. Raises NotFound and ExportExpired."""
    row = await one_or_404(db, _COPY, _CopyRow, {"user_id": user_id, "copy_id": copy_id})
    if row.expired:
        raise ExportExpired
    return _build_copy(row)


async def read_content(db: Readable, cipher: Cipher, user_id: UUID, copy_id: UUID) -> bytes:
    """Return the file of the user's copy. Raises NotFound, ExportExpired and ExportNotReady."""
    found = await get_copy(db, user_id, copy_id)
    if found.state != "done":
        raise ExportNotReady(state=found.state)
    row = await one_or_404(db, _FILE, _FileRow, {"user_id": user_id, "copy_id": copy_id})
    return cipher.decrypt(row.content_cipher, copy_id)


def _build_copy(row: _CopyRow) -> DataCopyOut:
    content = f"/v1/me/data-copies/{row.id}/content" if row.state == "done" else None
    return DataCopyOut(content=content, **row._asdict())
