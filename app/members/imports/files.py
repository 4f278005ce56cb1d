"""An uploaded sheet at rest: encrypted in parts, each bound to its import and its place in the file."""

from collections.abc import AsyncIterator
from typing import BinaryIO
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.cipher import Cipher
from app.schema.members import ImportFile

PART = 1 << 20


async def seal_file(db: AsyncConnection, cipher: Cipher, org_id: UUID, import_id: UUID, file: BinaryIO) -> int:
    """Store a file that lies in memory or on a disk at hand, a part at a time; gives its length."""
    number = size = 0
    while part := file.read(PART):
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


async def unseal_file(db: AsyncConnection, cipher: Cipher, org_id: UUID, import_id: UUID) -> AsyncIterator[bytes]:
    """The parts of a stored file in their order."""
    number = 0
    while True:
        sealed = await db.scalar(
            select(ImportFile.content_cipher).where(
                ImportFile.org_id == org_id, ImportFile.import_id == import_id, ImportFile.part == number
            )
        )
        if sealed is None:
            return
        yield cipher.decrypt(sealed, f"{import_id}/{number}")
        number += 1
