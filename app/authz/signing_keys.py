"""The keys of the access tokens at rest: made, rotated, dropped. In memory they are `tokens.KeyRing`.

Rotation signs nobody out: the new key is published `LEAD` ahead of its first use, by when every process has loaded
it, and the old one verifies until the last token it signed has expired. Refresh tokens do not depend on it.
"""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit_log.entries import Actor, record
from app.authz.tokens import LIFETIME, KeyRing, StoredKey, make_key
from app.core.cipher import Cipher, Undecryptable
from app.database.locks import Lock, lock
from app.schema.auth import SigningKey

LEAD = timedelta(minutes=2)
KEPT = timedelta(seconds=LIFETIME) + LEAD
"""How long a key verifies after another has taken its place."""


def key_ring(engine: AsyncEngine, cipher: Cipher) -> KeyRing:
    """The process's key ring over the signing_keys table; makes the first key where there is none."""

    async def load() -> list[StoredKey]:
        async with engine.begin() as db:
            kept = await _list(db, cipher)
            if kept:
                return kept
            await lock(db, Lock.SIGNING_KEYS)
            kept = await _list(db, cipher)
            if not kept:
                await rotate_signing_key(db, cipher, Actor(), lead=timedelta())
                kept = await _list(db, cipher)
            return kept

    return KeyRing(load)


async def _list(db: AsyncConnection, cipher: Cipher) -> list[StoredKey]:
    rows = await db.execute(select(SigningKey.kid, SigningKey.private_cipher, SigningKey.active_from))
    kept = []
    for row in rows:
        # A key sealed with a data key that is no longer given is lost; its tokens are refused, and others sign.
        with suppress(Undecryptable):
            kept.append(StoredKey(row.kid, cipher.decrypt(row.private_cipher, row.kid), row.active_from))
    return kept


async def rotate_signing_key(db: AsyncConnection, cipher: Cipher, actor: Actor, *, lead: timedelta = LEAD) -> str:
    """Make the key that signs after `lead`, and drop those that nothing unexpired was signed with. Gives its kid."""
    key = make_key(datetime.now(UTC) + lead)
    sealed = cipher.encrypt(key.private_pem, key.kid)
    await db.execute(insert(SigningKey).values(kid=key.kid, private_cipher=sealed, active_from=key.active_from))
    superseded = (
        select(func.max(SigningKey.active_from)).where(SigningKey.active_from < func.now() - KEPT).scalar_subquery()
    )
    await db.execute(delete(SigningKey).where(SigningKey.active_from < superseded))
    await _tell(db)
    await record(db, actor, "signing_key.rotated", subject=("signing_key", None), after={"kid": key.kid})
    return key.kid


async def drop_signing_key(db: AsyncConnection, actor: Actor, kid: str) -> bool:
    """Drop a key that has leaked: its tokens are refused as soon as each process loads the keys again."""
    dropped = await db.scalar(delete(SigningKey).where(SigningKey.kid == kid).returning(SigningKey.kid))
    if dropped is None:
        return False
    await _tell(db)
    await record(db, actor, "signing_key.dropped", subject=("signing_key", None), before={"kid": kid})
    return True


async def _tell(db: AsyncConnection) -> None:
    """Have every process load the keys again, when this transaction commits."""
    await db.execute(select(func.pg_notify(KEYS_CHANNEL, "")))


KEYS_CHANNEL = "xuezu_signing_keys"
