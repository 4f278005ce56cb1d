"""The inbox on the phone."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.authz.access import SignedIn
from app.console.frame.templates import Context, render_page
from app.console.home.pages import describe_request, translate_kind
from app.database.db import ReadDb
from app.database.paging import Paging, paged_by
from app.inbox.queries import WaitingRequest, list_waiting_requests
from devtools.phone.sign_in import PhoneRoute

router = APIRouter(prefix="/phone/inbox", route_class=PhoneRoute, include_in_schema=False)

_MAX_ROWS = 50


class InboxPage(Context, template="phone/inbox.html"):
    waiting: Sequence[WaitingRequest]
    next_cursor: str | None
    translate_kind: Callable[[str], str]
    describe_request: Callable[[WaitingRequest], str]


@router.get("")
async def show_inbox(
    request: Request, db: ReadDb, scope: SignedIn, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show a page of the requests that wait for the user, newest first."""
    waiting = await list_waiting_requests(db, scope, replace(paging, limit=_MAX_ROWS))
    page = InboxPage(
        waiting=waiting.rows,
        next_cursor=waiting.next_cursor,
        translate_kind=translate_kind,
        describe_request=describe_request,
    )
    return render_page(request, page)
