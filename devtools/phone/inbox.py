"""The inbox on the phone: all that waits for me."""

from fastapi import APIRouter, Request, Response

from app.authz.access import SignedIn
from app.console.frame.templates import page
from app.console.home.pages import detail_of, kind_text
from app.database.db import ReadDb
from app.database.paging import Paging
from app.inbox.queries import list_waiting
from devtools.phone.sign_in import PhoneRoute

router = APIRouter(prefix="/phone/inbox", route_class=PhoneRoute, include_in_schema=False)

_SHOWN = 50


@router.get("")
async def show_inbox(request: Request, db: ReadDb, scope: SignedIn) -> Response:
    """What waits for me, newest first."""
    waiting = await list_waiting(db, scope.user_id, Paging(_SHOWN, None))
    shown = {"kind_text": kind_text, "details": detail_of}
    return page(request, "phone/inbox.html", waiting=waiting.rows, **shown)
