"""The user's messages on the phone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.authz.access import SignedIn
from app.console.frame.forms import PageForm, read_ids
from app.console.frame.templates import Context, render_page
from app.database.db import ReadDb, WriteDb
from app.database.paging import Paging, paged_by
from app.messages.operations import mark_all_read
from app.messages.queries import MessageRow, count_unread, list_messages
from devtools.phone.sign_in import PhoneRoute

router = APIRouter(prefix="/phone/messages", route_class=PhoneRoute, include_in_schema=False)

_MAX_ROWS = 50


class MessagesPage(Context, template="phone/messages.html"):
    messages: Sequence[MessageRow]
    next_cursor: str | None
    unread: int


@router.get("")
async def show_messages(
    request: Request, db: ReadDb, scope: SignedIn, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show a page of messages, newest first."""
    found = await list_messages(db, scope.user_id, replace(paging, limit=_MAX_ROWS))
    unread = await count_unread(db, scope.user_id)
    return render_page(request, MessagesPage(messages=found.rows, next_cursor=found.next_cursor, unread=unread))


@router.post("")
async def mark_read(db: WriteDb, scope: SignedIn, form: PageForm) -> Response:
    """Mark the messages on the page and all older messages as read."""
    newest = read_ids(form, "newest_id")
    await mark_all_read(db, scope.user_id, newest[0] if newest else None)
    return Response(status_code=303, headers={"Location": "/phone/messages"})
