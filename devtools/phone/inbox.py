"""The inbox on the phone."""

from fastapi import APIRouter, Request, Response

from app.authz.access import SignedIn
from app.console.frame.templates import render_page
from app.console.home.pages import describe_request, translate_kind
from app.database.db import ReadDb
from app.database.paging import Paging
from app.inbox.queries import list_waiting_requests
from devtools.phone.sign_in import PhoneRoute

router = APIRouter(prefix="/phone/inbox", route_class=PhoneRoute, include_in_schema=False)

_MAX_ROWS = 50


@router.get("")
async def show_inbox(request: Request, db: ReadDb, scope: SignedIn) -> Response:
    """Show the requests that wait for the user, newest first."""
    waiting = await list_waiting_requests(db, scope.user_id, Paging(_MAX_ROWS, None))
    shown = {"translate_kind": translate_kind, "describe_request": describe_request}
    return render_page(request, "phone/inbox.html", waiting=waiting.rows, **shown)
