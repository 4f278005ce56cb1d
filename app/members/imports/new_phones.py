"""New phones of people whom the directory knows: written by a merge, for the rows that an admin has accepted."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import LargeBinary, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.cipher import Cipher
from app.database.rows import fetch_rows
from app.members.imports.staging.plan import ImportPlan
from app.messages.delivery import build_insert
from app.messages.kinds import MessageKind

_NEW_PHONES = text("""
SELECT p.member_id, s.new_member_id, i.phone_cipher, s.phone_index, s.phone_last4_index
FROM people AS p JOIN staged AS s ON s.row_no = p.first_row
JOIN import_rows AS i ON i.org_id = :org_id AND i.import_id = :import_id AND i.row_no = p.first_row
WHERE p.new_phone AND p.outcome = 'changed' AND p.phone_index IS NOT NULL
""")
_SET_PHONES = text("""
UPDATE members AS m
SET phone_cipher = given.cipher, phone_index = given.phone, phone_last4_index = given.last4
FROM unnest(:ids, :ciphers, :phones, :last4s) AS given (id, cipher, phone, last4)
WHERE m.org_id = :org_id AND m.id = given.id
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("ciphers", type_=ARRAY(LargeBinary)),
    bindparam("phones", type_=ARRAY(LargeBinary)),
    bindparam("last4s", type_=ARRAY(LargeBinary)),
)
# A row without a phone is not active (S18).
_REMOVE_PHONES = text(f"""
WITH gone AS (
    SELECT member_id FROM people WHERE new_phone AND outcome = 'changed' AND phone_index IS NULL
), ended AS (
    UPDATE activations AS a SET until = greatest(now(), a.since) FROM gone
    WHERE a.org_id = :org_id AND a.member_id = gone.member_id AND a.until IS NULL
    RETURNING a.org_id, a.user_id
), messages AS (
    {build_insert(MessageKind.ROW_UNLINKED, "FROM ended AS s")}
)
UPDATE members AS m
SET phone_cipher = NULL, phone_index = NULL, phone_last4_index = NULL, user_id = NULL
FROM gone WHERE m.org_id = :org_id AND m.id = gone.member_id
""")  # noqa: S608 — a constant


class _NewPhone(NamedTuple):
    member_id: UUID
    new_member_id: UUID
    phone_cipher: bytes
    phone_index: bytes
    phone_last4_index: bytes


async def change_phones(db: AsyncConnection, cipher: Cipher, plan: ImportPlan) -> None:
    """Set the phones of the people in `people` who have a new one, or none any more.

    The cipher text of a sheet's row is bound to the row, and that of a member to the member, so each is encrypted anew.
    """

    def encrypt(rows: Sequence[_NewPhone]) -> dict[str, Any]:
        return {
            "ids": [row.member_id for row in rows],
            "ciphers": [
                cipher.encrypt(cipher.decrypt_text(row.phone_cipher, row.new_member_id), row.member_id) for row in rows
            ],
            "phones": [row.phone_index for row in rows],
            "last4s": [row.phone_last4_index for row in rows],
        }

    found = await fetch_rows(db, _NEW_PHONES, _NewPhone, plan.parameters)
    if found:
        await db.execute(_SET_PHONES, {"org_id": plan.org_id} | await asyncio.to_thread(encrypt, found))
    await db.execute(_REMOVE_PHONES, {"org_id": plan.org_id})
