"""The inbox on the phone: all that waits for me."""

from functools import partial

from fastapi import APIRouter, Request, Response

from app.authz.access import SignedIn
from app.console.frame.templates import page
from app.console.frame.words import words_of
from app.console.home.pages import detail_of, kinds_of
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
    words = words_of(request)
    shown = {"kinds": kinds_of(words), "details": partial(detail_of, words)}
    return page(request, "phone/inbox.html", waiting=waiting.rows, **shown)
