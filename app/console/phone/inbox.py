"""The inbox on the phone: all that waits for me, and the answers to what was offered to my own phone."""

from collections.abc import Awaitable
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from app.admins.operations import accept_admin_invitation, refuse_admin_invitation
from app.auth.access import SignedIn, UserScope
from app.cipher import CipherDep
from app.console.forms import refusal_of
from app.console.home import detail_of, kinds_of
from app.console.phone.sign_in import PhoneRoute
from app.console.rendering import page, words_of
from app.db import Db
from app.errors import Problem
from app.inbox.queries import list_waiting
from app.orgs.promotions import accept_promotion, refuse_promotion
from app.paging import Paging

router = APIRouter(prefix="/phone/inbox", route_class=PhoneRoute, include_in_schema=False)

Kind = Literal["admin-invitation", "promotion"]
OfferId = Annotated[UUID, Path()]
_SHOWN = 50


@router.get("")
async def show_inbox(request: Request, db: Db, scope: SignedIn) -> Response:
    """What waits for me, newest first."""
    return await _show(request, db, scope, None)


@router.post("/{kind}/{offer_id}/acceptance")
async def accept(
    request: Request, db: Db, cipher: CipherDep, scope: SignedIn, kind: Kind, offer_id: OfferId
) -> Response:
    """I become an admin (S4), or the main admin of the org that a unit becomes (S7, S19)."""
    accepting: Awaitable[Any]
    if kind == "promotion":
        accepting = accept_promotion(db, cipher, scope, offer_id)
    else:
        accepting = accept_admin_invitation(db, cipher, scope, offer_id)
    return await _show(request, db, scope, await refusal_of(db, accepting))


@router.post("/{kind}/{offer_id}/refusal")
async def refuse(request: Request, db: Db, scope: SignedIn, kind: Kind, offer_id: OfferId) -> Response:
    """I decline."""
    refusing = refuse_promotion if kind == "promotion" else refuse_admin_invitation
    return await _show(request, db, scope, await refusal_of(db, refusing(db, scope, offer_id)))


async def _show(request: Request, db: Db, scope: UserScope, outcome: Any) -> Response:
    problem = outcome if isinstance(outcome, Problem) else None
    if request.method == "POST" and problem is None:
        return Response(status_code=303, headers={"Location": "/phone/inbox"})
    waiting = await list_waiting(db, scope.user_id, Paging(_SHOWN, None))
    words = words_of(request)
    shown = {"kinds": kinds_of(words), "details": partial(detail_of, words), "problem": problem}
    return page(request, "phone/inbox.html", problem.status if problem else 200, waiting=waiting[:_SHOWN], **shown)
