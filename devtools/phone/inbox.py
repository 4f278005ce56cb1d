"""The inbox on the phone."""

from collections.abc import Callable, Sequence

from fastapi import APIRouter, Request, Response

from app.authz.access import SignedIn
from app.console.frame.templates import Context, render_page
from app.console.home.pages import describe_request, translate_kind
from app.database.db import ReadDb
from app.database.paging import Paging
from app.inbox.queries import WaitingRequest, list_waiting_requests
from devtools.phone.sign_in import PhoneRoute

router = APIRouter(prefix="/phone/inbox", route_class=PhoneRoute, include_in_schema=False)

_MAX_ROWS = 50


class InboxPage(Context, template="phone/inbox.html"):
    waiting: Sequence[WaitingRequest]
    translate_kind: Callable[[str], str]
    describe_request: Callable[[WaitingRequest], str]


@router.get("")
async def show_inbox(request: Request, db: ReadDb, scope: SignedIn) -> Response:
    """Show the requests that wait for the user, newest first."""
    waiting = await list_waiting_requests(db, scope, Paging(_MAX_ROWS, None))
    page = InboxPage(waiting=waiting.rows, translate_kind=translate_kind, describe_request=describe_request)
    return render_page(request, page)
