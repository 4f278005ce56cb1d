"""What has outlived its use is forgotten, every hour, by whichever worker comes first."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog
from sqlalchemy import ColumnElement, delete, func, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.auth.tables import DeviceAuthorization, PhoneCode, RefreshToken, SecurityKeyChallenge, SimulatedMessage
from app.db import Table
from app.idempotency import IdempotencyKey

log = structlog.get_logger()

EVERY_SECONDS = 3600.0
_LOCK = 0x7875657A76
_DAY_AGO = func.now() - text("interval '1 day'")

# An answer is kept for a day (`Idempotency-Key`); the rest is of no use from the moment it expires, and is kept a day
# longer so that a late caller is told that it expired.
FORGOTTEN: tuple[tuple[type[Table], ColumnElement[bool]], ...] = (
    (IdempotencyKey, IdempotencyKey.created_at < _DAY_AGO),
    (PhoneCode, PhoneCode.expires_at < _DAY_AGO),
    (DeviceAuthorization, DeviceAuthorization.expires_at < _DAY_AGO),
    (SecurityKeyChallenge, SecurityKeyChallenge.expires_at < _DAY_AGO),
    (RefreshToken, RefreshToken.expires_at < _DAY_AGO),
    (SimulatedMessage, SimulatedMessage.created_at < _DAY_AGO),
)


async def forget_expired(engine: AsyncEngine) -> dict[str, int]:
    """Delete what has expired, table by table; gives the rows deleted. Empty where another worker is at it."""
    deleted: dict[str, int] = {}
    async with engine.connect() as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        if not await autocommit.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK}):
            return deleted
        try:
            for table, expired in FORGOTTEN:
                deleted[table.__tablename__] = (await autocommit.execute(delete(table).where(expired))).rowcount
        finally:
            await autocommit.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
    return deleted


@contextlib.asynccontextmanager
async def forgetting(engine: AsyncEngine) -> AsyncIterator[None]:
    """Forget what has expired, now and every hour, while the body runs."""
    task = asyncio.create_task(_forget_forever(engine))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _forget_forever(engine: AsyncEngine) -> None:
    while True:
        try:
            log.info("expired_forgotten", **await forget_expired(engine))
        except (SQLAlchemyError, OSError) as error:
            log.warning("expired_not_forgotten", error=type(error).__name__)
        await asyncio.sleep(EVERY_SECONDS)
