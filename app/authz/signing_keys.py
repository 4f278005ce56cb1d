"""The stored signing keys of access tokens: creation, rotation, removal. In memory they are a `tokens.KeyRing`.

Rotation ends no session. The new key is published `LEAD` before its first use, so every process has loaded it by then.
The old key verifies until its last token has expired. Refresh tokens do not depend on signing keys.
"""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit_log.entries import Actor, record
from app.authz.tokens import LIFETIME, KeyRing, StoredKey, make_key
from app.core.cipher import Cipher, Undecryptable
from app.database.locks import Lock, lock
from app.schema.sign_in import SigningKey

LEAD = timedelta(minutes=2)
RETENTION = timedelta(seconds=LIFETIME) + LEAD
"""How long a key verifies after a newer key has replaced it."""


def create_key_ring(engine: AsyncEngine, cipher: Cipher) -> KeyRing:
    """Return the process's key ring over the signing_keys table.

    If the table is empty, loading the keys creates the first key, under the advisory lock SIGNING_KEYS.
    """

    async def load_or_create_keys() -> list[StoredKey]:
        async with engine.begin() as db:
            stored = await _list_keys(db, cipher)
            if stored:
                return stored
            await lock(db, Lock.SIGNING_KEYS)
            stored = await _list_keys(db, cipher)
            if not stored:
                await rotate_signing_key(db, cipher, Actor(), lead=timedelta())
                stored = await _list_keys(db, cipher)
            return stored

    return KeyRing(load_or_create_keys)


async def _list_keys(db: AsyncConnection, cipher: Cipher) -> list[StoredKey]:
    rows = await db.execute(select(SigningKey.kid, SigningKey.private_cipher, SigningKey.active_from))
    stored = []
    for row in rows:
        # A key whose data key is no longer configured is lost: its tokens are refused, and the other keys sign.
        with suppress(Undecryptable):
            stored.append(StoredKey(row.kid, cipher.decrypt(row.private_cipher, row.kid), row.active_from))
    return stored


async def rotate_signing_key(db: AsyncConnection, cipher: Cipher, actor: Actor, *, lead: timedelta = LEAD) -> str:
    """Create a key that signs tokens when the time `lead` has passed. Delete each key whose tokens have all expired.
    Return the id (`kid`) of the new key."""
    key = make_key(datetime.now(UTC) + lead)
    encrypted = cipher.encrypt(key.private_pem, key.kid)
    await db.execute(insert(SigningKey).values(kid=key.kid, private_cipher=encrypted, active_from=key.active_from))
    superseded = (
        select(func.max(SigningKey.active_from))
        .where(SigningKey.active_from < func.now() - RETENTION)
        .scalar_subquery()
    )
    await db.execute(delete(SigningKey).where(SigningKey.active_from < superseded))
    await _notify_processes(db)
    await record(db, actor, "signing_key.rotated", subject=("signing_key", None), after={"kid": key.kid})
    return key.kid


async def drop_signing_key(db: AsyncConnection, actor: Actor, kid: str) -> bool:
    """Delete a leaked key. Return False if the key does not exist. Each process refuses the key's tokens as soon as it
    loads the keys again."""
    dropped = await db.scalar(delete(SigningKey).where(SigningKey.kid == kid).returning(SigningKey.kid))
    if dropped is None:
        return False
    await _notify_processes(db)
    await record(db, actor, "signing_key.dropped", subject=("signing_key", None), before={"kid": kid})
    return True


async def _notify_processes(db: AsyncConnection) -> None:
    """Notify every process, at the commit of this transaction, to load the keys again."""
    await db.execute(select(func.pg_notify(KEYS_CHANNEL, "")))


KEYS_CHANNEL = "xuezu_signing_keys"
