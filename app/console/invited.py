"""What was offered to my own phone: to be an admin (S4), to be main admin of a unit that becomes an org (S7)."""

from collections.abc import Awaitable
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from app.admins.operations import accept_admin_invitation, refuse_admin_invitation
from app.admins.queries import get_received_admin_invitation
from app.auth.access import SignedIn, UserScope
from app.cipher import CipherDep
from app.console.forms import refusal_of
from app.console.rendering import page
from app.console.route import ConsoleRoute
from app.console.standing import at_home
from app.db import Db
from app.errors import NotFound, Problem
from app.orgs.promotion_queries import get_offered_promotion
from app.orgs.promotions import accept_promotion, refuse_promotion

router = APIRouter(prefix="/console/offers", route_class=ConsoleRoute, include_in_schema=False)

Kind = Literal["admin-invitations", "promotions"]
OfferId = Annotated[UUID, Path()]


@router.get("/{kind}/{offer_id}")
async def show_offer(request: Request, db: Db, scope: SignedIn, kind: Kind, offer_id: OfferId) -> Response:
    """What is offered, by whom, until when."""
    return await _show(request, db, scope, kind, offer_id, None)


@router.post("/{kind}/{offer_id}/acceptance")
async def accept(
    request: Request, db: Db, cipher: CipherDep, scope: SignedIn, kind: Kind, offer_id: OfferId
) -> Response:
    """Accepts it, and goes to the org."""
    accepting: Awaitable[Any]
    if kind == "promotions":
        accepting = accept_promotion(db, cipher, scope, offer_id)
    else:
        accepting = accept_admin_invitation(db, cipher, scope, offer_id)
    outcome = await refusal_of(db, accepting)
    if isinstance(outcome, Problem):
        return await _show(request, db, scope, kind, offer_id, outcome)
    org_id = outcome if isinstance(outcome, UUID) else outcome.id
    return Response(status_code=303, headers={"Location": f"/console/orgs/{org_id}"})


@router.post("/{kind}/{offer_id}/refusal")
async def refuse(request: Request, db: Db, scope: SignedIn, kind: Kind, offer_id: OfferId) -> Response:
    """Declines it."""
    refusing = refuse_promotion if kind == "promotions" else refuse_admin_invitation
    outcome = await refusal_of(db, refusing(db, scope, offer_id))
    if isinstance(outcome, Problem):
        return await _show(request, db, scope, kind, offer_id, outcome)
    return Response(status_code=303, headers={"Location": "/console/"})


async def _show(
    request: Request, db: Db, scope: UserScope, kind: Kind, offer_id: UUID, problem: Problem | None
) -> Response:
    get = get_offered_promotion if kind == "promotions" else get_received_admin_invitation
    try:
        one: Any = await get(db, scope.user_id, offer_id)
    except NotFound:  # answered meanwhile, or not mine
        raise problem or NotFound from None
    shown = {**at_home(scope), "kind": kind, "one": one, "problem": problem}
    return page(request, "invited.html", problem.status if problem else 200, **shown)
