"""Encrypted storage of uploaded sheets: in parts, each bound to its import and its number in the file."""

from collections.abc import AsyncIterator
from typing import BinaryIO
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.cipher import Cipher
from app.schema.imports import ImportFile

PART_BYTES = 1 << 20


async def store_file(db: AsyncConnection, cipher: Cipher, org_id: UUID, import_id: UUID, file: BinaryIO) -> int:
    """Encrypt and store a local file, one part at a time. Return its size in bytes."""
    number = size = 0
    while part := file.read(PART_BYTES):
        await db.execute(
            insert(ImportFile).values(
                org_id=org_id,
                import_id=import_id,
                part=number,
                content_cipher=cipher.encrypt(part, f"{import_id}/{number}"),
            )
        )
        number += 1
        size += len(part)
    return size


async def stream_file(db: AsyncConnection, cipher: Cipher, org_id: UUID, import_id: UUID) -> AsyncIterator[bytes]:
    """Yield the decrypted parts of a stored file in order."""
    number = 0
    while True:
        encrypted = await db.scalar(
            select(ImportFile.content_cipher).where(
                ImportFile.org_id == org_id, ImportFile.import_id == import_id, ImportFile.part == number
            )
        )
        if encrypted is None:
            return
        yield cipher.decrypt(encrypted, f"{import_id}/{number}")
        number += 1
