"""The phones that people had before an import."""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypedDict
from uuid import UUID

from app.core.cipher import Cipher
from app.database.db import Readable
from app.database.rows import fetch_rows
from app.members.encryption import decrypt_phone
from app.members.imports.reversals.statements import FORMER_PHONES


class OldPhone(NamedTuple):
    member_id: UUID
    phone_cipher: bytes | None


class FormerPhones(TypedDict):
    """The parameters `old_ids` and `old_phones` of `statements.PEOPLE`."""

    old_ids: list[UUID]
    old_phones: list[bytes]


async def list_former_phones(
    db: Readable, cipher: Cipher, of_import: dict[str, UUID], index_phone: Callable[[str], Sequence[bytes]]
) -> FormerPhones:
    """Return the former phones of the people to whom the import has given a new one, with all their blind indexes."""

    def compute(rows: Sequence[OldPhone]) -> FormerPhones:
        phones = [(row.member_id, decrypt_phone(cipher, row.phone_cipher, row.member_id)) for row in rows]
        indexes = [(of, index) for of, phone in phones if phone is not None for index in index_phone(phone)]
        return FormerPhones(old_ids=[of for of, _ in indexes], old_phones=[index for _, index in indexes])

    rows = await fetch_rows(db, FORMER_PHONES, OldPhone, of_import)
    return await asyncio.to_thread(compute, rows) if rows else FormerPhones(old_ids=[], old_phones=[])
