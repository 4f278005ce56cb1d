"""The user's messages, and the counts of messages and waiting requests in the frame."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.authz.access import SignedIn
from app.console.frame.context import FrameContext, build_user_frame
from app.console.frame.forms import PageForm, read_ids
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import Context, render_page, render_part
from app.database.db import ReadDb, WriteDb
from app.database.paging import Paging, Slice, paged_by
from app.inbox.queries import count_waiting_requests
from app.messages.operations import mark_all_read
from app.messages.queries import MessageRow, count_unread, list_messages

router = APIRouter(prefix="/console", route_class=ConsoleRoute, include_in_schema=False)


class MessagesPage(FrameContext, template="messages/messages.html"):
    messages: Slice[MessageRow]
    unread: int


class Badges(Context, template="messages/badges.html"):
    waiting: int
    unread: int


@router.get("/messages")
async def show_messages(
    request: Request, db: ReadDb, scope: SignedIn, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show the user's messages, newest first."""
    found = await list_messages(db, scope.user_id, paging)
    unread = await count_unread(db, scope.user_id)
    frame = build_user_frame(scope, "messages")
    return render_page(request, MessagesPage(frame=frame, messages=found, unread=unread))


@router.post("/messages")
async def mark_read(db: WriteDb, scope: SignedIn, form: PageForm) -> Response:
    """Mark the messages that the page shows as read, up to the newest of them. Later messages stay unread."""
    newest = read_ids(form, "newest_id")
    await mark_all_read(db, scope.user_id, newest[0] if newest else None)
    return Response(status_code=303, headers={"Location": "/console/messages"})


@router.get("/badges")
async def show_badges(request: Request, db: ReadDb, scope: SignedIn) -> Response:
    """Show how many requests wait for the user, and how many messages are not read, as parts of the frame."""
    waiting = sum((await count_waiting_requests(db, scope)).values())
    return render_part(request, Badges(waiting=waiting, unread=await count_unread(db, scope.user_id)))
