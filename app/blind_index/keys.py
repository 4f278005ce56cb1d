"""By which key a value is indexed now: while the index key is rotated (`app.key_rotation.index_key`), by the old or
the new.

A rotation goes through the values in the order of their old indexes, and has brought all rows of each value that it
has passed to the new key, in one transaction each step. So how far it has come says of every value, of one too that
nobody has yet, by which key it is indexed; and whoever writes one holds the rotation where it is until they commit.
Unique keys then mean what they always mean, and rows that have a phone in common have its index in common.

Who only looks asks for both indexes at once (`Cipher.indexes`) and holds nothing: a statement sees one step or the
next. Where no rotation is under way, none of this asks the database anything.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.cipher import Cipher
from app.core.settings import CannotStart, Settings
from app.database.db import create_engine
from app.database.locks import Lock, lock_shared
from app.schema.keys import IndexRotation

PASSED_ALL = b"\xff" * 32
"""Above every index: all values are indexed by the new key."""


class WrongIndexKey(Exception):  # noqa: N818
    """XUEZU_NEXT_INDEX_KEY is not the key that the rotation under way was begun with."""


@dataclass(frozen=True, slots=True)
class Indexing:
    """The indexes that values have now; valid while the rotation is held."""

    cipher: Cipher
    moved_below: bytes = b""

    def index(self, *parts: str) -> bytes:
        return self.moved(self.cipher.index(*parts))

    def phone(self, phone: str) -> bytes:
        return self.moved(self.cipher.phone_index(phone))

    def moved(self, index: bytes) -> bytes:
        """The index that a value has now, of one that it had before."""
        if index < self.moved_below and self.cipher.is_settled(index):
            return self.cipher.reindex(index)
        return index

    def last4(self, org_id: UUID, phone: str) -> bytes:
        """The index of a member's last four digits: by the same key as the whole phone's."""
        index = last4_index(self.cipher, org_id, phone[-4:])
        return index if self.cipher.is_settled(self.phone(phone)) else self.cipher.reindex(index)


async def lock_index_key(db: AsyncConnection, cipher: Cipher) -> Indexing:
    """Lock the rotation of the index key, shared, until the transaction ends. Returns how values are indexed meanwhile.

    A transaction calls it before it writes a blind index or compares one, after it has locked orgs and before it locks
    accounts, phones or members. Outside a rotation it takes no lock. Raises WrongIndexKey.
    """
    if not cipher.rotating:
        return Indexing(cipher)
    await lock_shared(db, Lock.INDEX_KEY)
    rotation = select(IndexRotation.key_check, IndexRotation.moved_below)
    row = (await db.execute(rotation.where(IndexRotation.generation == cipher.generation + 1))).one_or_none()
    if row is None:
        return Indexing(cipher)
    if row.key_check != cipher.next_key_check:
        raise WrongIndexKey
    return Indexing(cipher, row.moved_below)


def last4_index(cipher: Cipher, org_id: UUID, last4: str) -> bytes:
    return cipher.index(*last4_parts(org_id, last4))


def last4_parts(org_id: UUID, last4: str) -> tuple[str, str, str]:
    """What the index of four digits is made of: the org's own, so that equal ones in two orgs do not show."""
    return ("phone-last4", str(org_id), last4)


async def require_index_keys(settings: Settings) -> None:
    """Raise CannotStart where the index keys given are not those that the database's values are found by."""
    cipher, engine = Cipher(settings), create_engine(settings)
    try:
        async with engine.connect() as db:
            rotations = {row.generation: row for row in (await db.execute(select(IndexRotation))).all()}
    finally:
        await engine.dispose()
    finished = max((number for number, row in rotations.items() if row.finished_at is not None), default=0)
    settled, following = rotations.get(cipher.generation), rotations.get(cipher.generation + 1)
    if finished > cipher.generation and not cipher.rotating:
        raise CannotStart(
            f"The index key has been rotated {finished} times and XUEZU_INDEX_KEY holds {cipher.generation + 1} keys: "
            "put the new key in front, `new,old`."
        )
    if cipher.generation > finished:
        raise CannotStart(
            f"XUEZU_INDEX_KEY holds {cipher.generation + 1} keys and {finished} rotations have been finished: give a "
            "new key as XUEZU_NEXT_INDEX_KEY, and run `xuezu keys rotate-index` once every process has it."
        )
    if settled is not None and settled.key_check != cipher.key_check:
        raise CannotStart("XUEZU_INDEX_KEY does not begin with the key that the last rotation was to.")
    if following is not None and cipher.rotating and following.key_check != cipher.next_key_check:
        raise CannotStart("XUEZU_NEXT_INDEX_KEY is not the key that the rotation under way was begun with.")
