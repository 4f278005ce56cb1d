"""Encrypted storage of uploaded sheets of orgs: in parts, each bound to its load and its number in the file."""

from collections.abc import AsyncIterator
from typing import BinaryIO
from uuid import UUID

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.cipher import Cipher
from app.schema.org_loads import OrgLoadFile

PART_BYTES = 1 << 20


async def store_file(db: AsyncConnection, cipher: Cipher, load_id: UUID, file: BinaryIO) -> None:
    """Encrypt and store a local file, one part at a time."""
    number = 0
    while part := file.read(PART_BYTES):
        content = cipher.encrypt(part, f"{load_id}/{number}")
        await db.execute(insert(OrgLoadFile).values(load_id=load_id, part=number, content_cipher=content))
        number += 1


async def stream_file(db: AsyncConnection, cipher: Cipher, load_id: UUID) -> AsyncIterator[bytes]:
    """Yield the decrypted parts of a stored file in order."""
    number = 0
    while True:
        part = (OrgLoadFile.load_id == load_id, OrgLoadFile.part == number)
        encrypted = await db.scalar(select(OrgLoadFile.content_cipher).where(*part))
        if encrypted is None:
            return
        yield cipher.decrypt(encrypted, f"{load_id}/{number}")
        number += 1


async def delete_file(db: AsyncConnection, load_id: UUID) -> None:
    """Delete the stored file of a load."""
    await db.execute(delete(OrgLoadFile).where(OrgLoadFile.load_id == load_id))
