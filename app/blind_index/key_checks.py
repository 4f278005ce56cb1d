"""The comparison of the configured keys with the data, before a process works with it.

The database has a hash of each key that its values are indexed or encrypted by: of index keys in `index_rotations`, of
data keys in `data_keys`. A process that starts compares its keys with these hashes and adds its first data key. The
first process of a database compares its keys with some of the values and adds both. A database of an earlier release
has its first process when the release with this check comes.
"""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select, union
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.blind_index.keys import ALL_MOVED
from app.core.cipher import Cipher, Undecryptable, get_key_id
from app.core.settings import CannotStart, Settings
from app.database.db import create_engine
from app.database.rows import fetch_rows
from app.schema.auth import User
from app.schema.keys import DataKey, IndexRotation
from app.schema.sign_in import SigningKey

SAMPLE_SIZE = 50
"""How many of the oldest and of the newest accounts are compared."""

_OR_ANOTHER_DATABASE = "put it back, or check XUEZU_DATABASE_URL."


async def require_keys(settings: Settings, *, with_all_data_keys: bool = True) -> None:
    """Raise CannotStart if the configured keys are not those that index and encrypt the values of the database.

    Otherwise record the first data key, and in a new database the first index key. Without `with_all_data_keys` a data
    key may be missing, for a command that repairs this.
    """
    cipher, engine = Cipher(settings), create_engine(settings)
    try:
        async with engine.begin() as db:
            await _require_index_keys(db, cipher)
            await _require_data_keys(db, cipher, complete=with_all_data_keys)
    finally:
        await engine.dispose()


async def _require_index_keys(db: AsyncConnection, cipher: Cipher) -> None:
    checks = cipher.index_key_checks
    rotations = await _read_rotations(db)
    finished = max((number for number, row in rotations.items() if row.is_finished), default=0)
    if finished > cipher.generation and not cipher.is_rotating:
        raise CannotStart(
            f"The index key has been rotated {finished} times and XUEZU_INDEX_KEY has {cipher.generation + 1} keys: "
            "put the new key in front, `new,old`."
        )
    if cipher.generation > finished:
        raise CannotStart(
            f"XUEZU_INDEX_KEY has {cipher.generation + 1} keys and {finished} rotations have been finished: give a "
            "new key as XUEZU_NEXT_INDEX_KEY, and run `xuezu keys rotate-index` once every process has it."
        )
    if 0 not in rotations:
        await _compare_indexes(db, cipher)
        first = {"generation": 0, "key_check": checks[0], "moved_below": ALL_MOVED, "finished_at": func.now()}
        await db.execute(insert(IndexRotation).values(first).on_conflict_do_nothing())
        rotations = await _read_rotations(db)
    for generation, check in enumerate(checks):
        known = rotations.get(generation)
        if known is not None and known.key_check != check:
            raise CannotStart(
                f"XUEZU_INDEX_KEY has another key in place {len(checks) - generation} than the one by which phones and "
                f"ID numbers of this database are found: {_OR_ANOTHER_DATABASE}"
            )
    following = rotations.get(cipher.generation + 1)
    if following is not None and cipher.is_rotating and following.key_check != cipher.next_key_check:
        raise CannotStart("XUEZU_NEXT_INDEX_KEY is not the key that the rotation under way was begun with.")


class _Rotation(NamedTuple):
    generation: int
    key_check: bytes
    is_finished: bool


async def _read_rotations(db: AsyncConnection) -> dict[int, _Rotation]:
    finished = IndexRotation.finished_at.is_not(None).label("is_finished")
    rows = await fetch_rows(db, select(IndexRotation.generation, IndexRotation.key_check, finished), _Rotation)
    return {row.generation: row for row in rows}


class _Phone(NamedTuple):
    id: UUID
    phone_cipher: bytes
    phone_index: bytes


async def _sample_phones(db: AsyncConnection) -> list[_Phone]:
    phones = select(User.id, User.phone_cipher, User.phone_index).where(User.phone_cipher.is_not(None))
    sample = union(
        phones.order_by(User.id).limit(SAMPLE_SIZE).subquery().select(),
        phones.order_by(User.id.desc()).limit(SAMPLE_SIZE).subquery().select(),
    )
    # A value that names no key is none of the service's.
    return [row for row in await fetch_rows(db, sample, _Phone) if get_key_id(row.phone_cipher)]


async def _compare_indexes(db: AsyncConnection, cipher: Cipher) -> None:
    """Raise CannotStart if a phone of the sample has another index than by the configured keys."""
    for row in await _sample_phones(db):
        try:
            phone = cipher.decrypt_text(row.phone_cipher, row.id)
        except Undecryptable:
            continue
        if row.phone_index not in cipher.list_phone_indexes(phone):
            raise CannotStart(
                "XUEZU_INDEX_KEY is not the key by which phones and ID numbers of this database are found: "
                f"{_OR_ANOTHER_DATABASE}"
            )


async def _require_data_keys(db: AsyncConnection, cipher: Cipher, *, complete: bool) -> None:
    checks = cipher.data_key_checks
    known = await _read_data_keys(db)
    if not known and complete:
        await _compare_encrypted(db, cipher)
    for key_id, check in known.items():
        if key_id in checks and checks[key_id] != check:
            raise CannotStart(
                f"XUEZU_DATA_KEYS has another key named {key_id} than the one by which values of this database are "
                f"encrypted: {_OR_ANOTHER_DATABASE}"
            )
        if key_id not in checks and complete:
            raise _build_missing_key(key_id)
    if cipher.primary not in known:
        used = {"key_id": cipher.primary, "key_check": checks[cipher.primary]}
        await db.execute(insert(DataKey).values(used).on_conflict_do_nothing())
        if (await _read_data_keys(db))[cipher.primary] != checks[cipher.primary]:
            raise _build_missing_key(cipher.primary)


async def _read_data_keys(db: AsyncConnection) -> dict[str, bytes]:
    rows = (await db.execute(select(DataKey.key_id, DataKey.key_check).order_by(DataKey.used_since))).all()
    return {row.key_id: row.key_check for row in rows}


async def _compare_encrypted(db: AsyncConnection, cipher: Cipher) -> None:
    """Raise CannotStart if no configured key decrypts a signing key or a phone of the sample."""
    signing_keys = (await db.execute(select(SigningKey.private_cipher, SigningKey.kid))).all()
    values: list[tuple[bytes, UUID | str]] = [(row.private_cipher, row.kid) for row in signing_keys]
    values += [(row.phone_cipher, row.id) for row in await _sample_phones(db)]
    for value, row_id in values:
        try:
            cipher.decrypt(value, row_id)
        except Undecryptable:
            raise _build_missing_key(get_key_id(value)) from None


def _build_missing_key(key_id: str) -> CannotStart:
    return CannotStart(
        f"Values of this database are encrypted by a data key named {key_id}, which XUEZU_DATA_KEYS does not give: "
        f"{_OR_ANOTHER_DATABASE} If the key is lost, `xuezu keys rotate --without-lost-keys` gives its values up."
    )
