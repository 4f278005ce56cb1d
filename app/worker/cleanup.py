"""What has outlived its use is forgotten, every hour, by whichever worker comes first."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog
from sqlalchemy import delete, func, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.auth.cleanup import delete_lapsed
from app.exports.operations import delete_expired_exports
from app.members.imports.forgetting import forget_old_imports
from app.schema.idempotency import IdempotencyKey

log = structlog.get_logger()

EVERY_SECONDS = 3600.0


async def forget_expired(engine: AsyncEngine) -> bool:
    """Delete the answers stored more than a day ago (`Idempotency-Key`), what signing in left behind, expired exports,
    the rows of old imports.

    False where another worker is at it.
    """
    async with engine.begin() as db:
        if not await delete_lapsed(db):
            return False
        await db.execute(
            delete(IdempotencyKey).where(IdempotencyKey.created_at < func.now() - text("interval '1 day'"))
        )
        await delete_expired_exports(db)
        await forget_old_imports(db)
        return True


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
            await forget_expired(engine)
        except (SQLAlchemyError, OSError) as error:
            log.warning("expired_not_forgotten", error=type(error).__name__)
        await asyncio.sleep(EVERY_SECONDS)
