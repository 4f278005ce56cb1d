"""Operations that request and delete the copy of a person's data."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import bindparam, delete, func, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.auth.rate_limits import Limit, take_token
from app.auth.sessions import lock_account
from app.authz.access import UserScope
from app.personal_data.queries import get_copy
from app.personal_data.retention import COPY_LIFETIME
from app.personal_data.schemas import DataCopyOut
from app.queue.jobs import enqueue
from app.schema.personal_data import DataCopy
from app.web.errors import NotFound

JOB = "data_copy"
# A copy reads the whole audit log.
COPY_LIMIT = Limit("data-copy", burst=3, every=timedelta(hours=8))

_DELETE_OLD = delete(DataCopy).where(DataCopy.user_id == bindparam("user_id"))
_INSERT = insert(DataCopy).values(expires_at=func.now() + COPY_LIFETIME).returning(DataCopy.id)
_DELETE = (
    delete(DataCopy)
    .where(DataCopy.user_id == bindparam("user_id"), DataCopy.id == bindparam("copy_id"))
    .returning(DataCopy.id)
)


async def request_copy(db: AsyncConnection, scope: UserScope) -> DataCopyOut:
    """Request a copy of the user's data, in place of an earlier one, and enqueue the job that writes it.

    Locks the account, so that one of two concurrent requests follows the other, and a closed account gets none. Raises
    TooManyRequests, and Unauthorized if the session ended.
    """
    await take_token(db, COPY_LIMIT, str(scope.user_id))
    await lock_account(db, scope)
    await db.execute(_DELETE_OLD, {"user_id": scope.user_id})
    copy_id: UUID = (await db.execute(_INSERT, {"user_id": scope.user_id})).scalar_one()
    await enqueue(db, JOB, {"copy_id": str(copy_id)})
    await record(db, scope.actor, "data_copy.requested", subject=("data_copy", copy_id))
    return await get_copy(db, scope.user_id, copy_id)


async def delete_copy(db: AsyncConnection, scope: UserScope, copy_id: UUID) -> None:
    """Delete the copy with its file. If it is not finished, its job stores nothing. Raises NotFound."""
    if await db.scalar(_DELETE, {"user_id": scope.user_id, "copy_id": copy_id}) is None:
        raise NotFound
    await record(db, scope.actor, "data_copy.deleted", subject=("data_copy", copy_id))
