"""Messages over HTTP: the caller's own only."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from app.authz.access import SignedIn
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Paging, paged_by
from app.messages import operations, queries
from app.messages.schemas import MessageOut, MessagesOut, ReadMarkPut, UnreadOut

router = APIRouter(prefix="/v1/messages", route_class=TransactionalRoute, tags=["me"])


@router.get("", summary="My messages")
async def list_messages(
    user: SignedIn,
    db: ReadDb,
    paging: Annotated[Paging, paged_by(UUID)],
    unread: Annotated[bool, Query(description="Only those that are not read.")] = False,
) -> MessagesOut:
    """Read this to tell the caller what has become of their requests, roles, rows in directories and imports, the
    newest first. The call changes nothing: mark what was shown with `PUT …/read-mark`.

    What waits for an answer is in `GET /v1/inbox`. A message is deleted after 90 days.
    """
    found = await queries.list_messages(db, user.user_id, paging, unread=unread)
    count = await queries.count_unread(db, user.user_id)
    return MessagesOut(
        items=[MessageOut.from_row(row) for row in found.rows], next_cursor=found.next_cursor, unread=count
    )


@router.get("/unread-count", summary="Count unread messages")
async def read_unread_count(user: SignedIn, db: ReadDb) -> UnreadOut:
    """Count the caller's unread messages, for a badge. The number of requests that wait for the caller is `total` of
    `GET /v1/inbox`."""
    return UnreadOut(unread=await queries.count_unread(db, user.user_id))


@router.get("/{message_id}", summary="Read a message")
async def read_message(user: SignedIn, message_id: UUID, db: ReadDb) -> MessageOut:
    """Read one of the caller's messages. This call does not mark the message as read."""
    return MessageOut.from_row(await queries.get_message(db, user.user_id, message_id))


@router.put("/read-mark", summary="Mark all messages as read", status_code=204)
async def mark_all_read(user: SignedIn, db: WriteDb, body: ReadMarkPut | None = None) -> None:
    """Mark all of the caller's messages as read, or those up to the newest that was shown. Repeating it changes
    nothing.
    """
    await operations.mark_all_read(db, user.user_id, body.newest_id if body is not None else None)


@router.put("/{message_id}/read-mark", summary="Mark a message as read")
async def mark_message_read(user: SignedIn, message_id: UUID, db: WriteDb) -> MessageOut:
    """Mark one message as read, and get it back. Repeating it changes nothing."""
    await operations.mark_message_read(db, user.user_id, message_id)
    return MessageOut.from_row(await queries.get_message(db, user.user_id, message_id))
