"""Writes of a user on their own messages. They change only what the user has read, and leave no audit entry."""

from uuid import UUID

from sqlalchemy import bindparam, delete, func, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.messages.queries import get_message
from app.schema.messages import Message

_OF_USER = Message.user_id == bindparam("of_user")
_UNREAD = (_OF_USER, Message.read_at.is_(None))
_MARK_ALL = update(Message).where(*_UNREAD).values(read_at=func.now())
_MARK_UP_TO = _MARK_ALL.where(Message.id <= bindparam("newest_id"))
_MARK_ONE = _MARK_ALL.where(Message.id == bindparam("message_id"))
_ERASE = delete(Message).where(_OF_USER)


async def mark_message_read(db: AsyncConnection, user_id: UUID, message_id: UUID) -> None:
    """Mark one message of the user as read; a second time changes nothing. Raises NotFound."""
    marked = await db.execute(_MARK_ONE, {"of_user": user_id, "message_id": message_id})
    if marked.rowcount == 0:
        await get_message(db, user_id, message_id)


async def mark_all_read(db: AsyncConnection, user_id: UUID, newest_id: UUID | None = None) -> None:
    """Mark all messages of the user as read; with `newest_id` only those up to this one, so that a message that came
    after the list was shown stays unread."""
    if newest_id is None:
        await db.execute(_MARK_ALL, {"of_user": user_id})
    else:
        await db.execute(_MARK_UP_TO, {"of_user": user_id, "newest_id": newest_id})


async def erase_messages(db: AsyncConnection, user_id: UUID) -> None:
    """Delete all messages of a user whose account is being closed."""
    await db.execute(_ERASE, {"of_user": user_id})
