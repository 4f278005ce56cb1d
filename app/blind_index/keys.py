"""The key of each blind index. During a rotation of the index key (`app.key_rotation.index_key`), a value is indexed by
the old key or by the new key.

A rotation processes the values in the order of their old indexes. Each step moves all rows of the next values to the
new key in one transaction. So the progress of the rotation determines the key of every value, also of a value that no
row has yet. A transaction that writes an index locks the rotation until it commits. Unique constraints therefore keep
their meaning, and rows with the same phone have the same index.

A query that only reads searches for both indexes (`Cipher.indexes`) and takes no lock, because a statement sees the
data before a step or after it. Without a rotation, this module sends no query.
"""

from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.cipher import Cipher
from app.database.locks import Lock, lock_shared
from app.schema.keys import IndexRotation

ALL_MOVED = b"\xff" * 32
"""Greater than every index: the new key indexes all values."""


class WrongIndexKey(Exception):
    """XUEZU_NEXT_INDEX_KEY is not the key with which the current rotation began."""


@dataclass(frozen=True, slots=True)
class BlindIndexer:
    """Computes the current blind indexes of values. It is valid while the rotation is locked."""

    cipher: Cipher
    moved_below: bytes = b""

    def index(self, *parts: str) -> bytes:
        """Return the current index of a value: its purpose first, then its parts."""
        return self.get_current_index(self.cipher.index(*parts))

    def index_phone(self, phone: str) -> bytes:
        """Return the current index of a whole phone number."""
        return self.get_current_index(self.cipher.index_phone(phone))

    def get_current_index(self, index: bytes) -> bytes:
        """Return the current index of a value that had this index before the rotation."""
        if index < self.moved_below and self.cipher.is_current(index):
            return self.cipher.reindex_value(index)
        return index

    def index_last4(self, org_id: UUID, phone: str) -> bytes:
        """Return the index of the last four digits of a member's phone. It uses the same key as the whole phone."""
        index = _index_last4(self.cipher, org_id, phone[-4:])
        if not self.moved_below:
            return index
        return index if self.cipher.is_current(self.index_phone(phone)) else self.cipher.reindex_value(index)


async def lock_index_key(db: AsyncConnection, cipher: Cipher) -> BlindIndexer:
    """Lock the rotation of the index key, shared, until the transaction ends. Return the indexer for this transaction.

    A transaction calls it before it writes or compares a blind index, after it has locked orgs and before it locks
    accounts, phones or members. Outside a rotation it takes no lock. Raises WrongIndexKey.
    """
    if not cipher.is_rotating:
        return BlindIndexer(cipher)
    await lock_shared(db, Lock.INDEX_KEY)
    rotation = select(IndexRotation.key_check, IndexRotation.moved_below)
    row = (await db.execute(rotation.where(IndexRotation.generation == cipher.generation + 1))).one_or_none()
    if row is None:
        return BlindIndexer(cipher)
    if row.key_check != cipher.next_key_check:
        raise WrongIndexKey
    return BlindIndexer(cipher, row.moved_below)


def _index_last4(cipher: Cipher, org_id: UUID, last4: str) -> bytes:
    return cipher.index(*build_last4_parts(org_id, last4))


def build_last4_parts(org_id: UUID, last4: str) -> tuple[str, str, str]:
    """Return the input of the index of four digits. It contains the org, so two orgs have different indexes."""
    return ("phone-last4", _format_id(org_id), last4)


_format_id = lru_cache(maxsize=64)(str)  # an import computes one for each of its rows
