"""What signing in leaves behind and nobody needs any more: what `app.worker.cleanup` deletes every hour."""

from datetime import timedelta

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.auth.rate_limits import delete_full_buckets
from app.schema.auth import (
    ClientSecret,
    DeviceAuthorization,
    PhoneCode,
    RefreshToken,
    SecurityKeyChallenge,
    Session,
    SimulatedMessage,
)

KEPT = timedelta(days=1)
REPLAY_KNOWN_FOR = timedelta(days=7)
"""How long a used refresh token is remembered, to end its family where it comes again; later it is just unknown."""

_LOCK = 517365660279


async def delete_lapsed(db: AsyncConnection) -> bool:
    """Delete what has lapsed; False where another process is at it."""
    if not await db.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK}):
        return False
    before = func.now() - KEPT
    over = exists().where(
        Session.id == RefreshToken.session_id, or_(Session.ended_at < before, Session.expires_at < before)
    )
    lapsed: list[tuple[type, ColumnElement[bool]]] = [
        (PhoneCode, PhoneCode.expires_at < before),
        (SimulatedMessage, SimulatedMessage.created_at < before),
        (DeviceAuthorization, DeviceAuthorization.expires_at < before),
        (SecurityKeyChallenge, SecurityKeyChallenge.expires_at < before),
        (ClientSecret, and_(ClientSecret.expires_at.is_not(None), ClientSecret.expires_at < before)),
        (RefreshToken, or_(RefreshToken.used_at < func.now() - REPLAY_KNOWN_FOR, over)),
    ]
    for table, condition in lapsed:
        await db.execute(delete(table).where(condition))
    await delete_full_buckets(db)
    return True
