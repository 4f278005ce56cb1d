"""Offers that are addressed to the user: to become an admin (S4), or the main admin of a promoted unit (S7)."""

from collections.abc import Awaitable
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from app.admins.operations import accept_admin_invitation, refuse_admin_invitation
from app.admins.queries import get_received_admin_invitation
from app.admins.schemas import ReceivedAdminInvitationOut
from app.authz.access import SignedIn, UserScope
from app.console.frame.confirmations import Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_user_frame
from app.console.frame.forms import catch_problem
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import ProblemContext, render_page
from app.core.cipher import CipherDep
from app.core.i18n import gettext
from app.database.db import Readable, ReadableDb, ReadDb, WriteDb
from app.orgs.locks import LockedOrg
from app.promotions.operations import accept_promotion, refuse_promotion
from app.promotions.queries import get_offered_promotion
from app.promotions.schemas import OfferedPromotionOut
from app.web.errors import Problem

router = APIRouter(prefix="/console/offers", route_class=ConsoleRoute, include_in_schema=False)

Kind = Literal["admin-invitation", "promotion"]
OfferId = Annotated[UUID, Path()]


class OfferPage(FrameContext, ProblemContext, template="settings/invited.html"):
    kind: Kind
    offer: OfferedPromotionOut | ReceivedAdminInvitationOut


@router.get("/{kind}/{offer_id}")
async def show_offer(request: Request, db: ReadDb, scope: SignedIn, kind: Kind, offer_id: OfferId) -> Response:
    """Show an offer: the office or the new org, the org that makes the offer, and the time when the offer expires."""
    return _show(request, scope, kind, await get_received_offer(db, scope, kind, offer_id), None)


@router.post("/{kind}/{offer_id}/acceptance")
async def confirm_acceptance(
    request: Request, db: WriteDb, cipher: CipherDep, scope: SignedIn, kind: Kind, offer_id: OfferId
) -> Response:
    """Accept the offer and go to the org. After a refusal the page shows the reason."""
    offer = await get_received_offer(db, scope, kind, offer_id)
    acceptance: Awaitable[UUID | LockedOrg | Problem]
    if kind == "promotion":
        acceptance = accept_promotion(db, cipher, scope, offer_id)
    else:
        acceptance = accept_admin_invitation(db, cipher, scope, offer_id)
    outcome: UUID | LockedOrg | Problem = await catch_problem(db, acceptance)
    if isinstance(outcome, Problem):
        return _show(request, scope, kind, offer, outcome)
    org_id = outcome if isinstance(outcome, UUID) else outcome.id
    return Response(status_code=303, headers={"Location": f"/console/orgs/{org_id}"})


@add_confirmation_routes(router, "/{kind}/{offer_id}/refusal")
async def confirm_refusal(
    request: Request, db: ReadableDb, scope: SignedIn, kind: Kind, offer_id: OfferId
) -> Confirmation:
    """Decline the offer. The user types the name of the present or future org to confirm."""
    offer = await get_received_offer(db, scope, kind, offer_id)
    refusing = refuse_promotion if kind == "promotion" else refuse_admin_invitation
    name = offer.name if isinstance(offer, OfferedPromotionOut) else offer.org_name
    return Confirmation(
        title=gettext("谢绝“{name}”", name=name),
        explanation=gettext("谢绝后不能再接受；需要时请对方重新发出。"),
        button=gettext("谢绝"),
        operation=lambda db, _: refusing(db, scope, offer_id),
        message=gettext("已谢绝"),
        name=name,
        next_page=ConsoleRoute.home,
    )


async def get_received_offer(
    db: Readable, scope: UserScope, kind: Kind, offer_id: UUID
) -> OfferedPromotionOut | ReceivedAdminInvitationOut:
    """Return the pending offer that is addressed to this user. Raises NotFound, also for another user's offer and for a
    decided one."""
    if kind == "promotion":
        return await get_offered_promotion(db, scope.user_id, offer_id)
    return await get_received_admin_invitation(db, scope.user_id, offer_id)


def _show(
    request: Request,
    scope: UserScope,
    kind: Kind,
    offer: OfferedPromotionOut | ReceivedAdminInvitationOut,
    problem: Problem | None,
) -> Response:
    return render_page(request, OfferPage(frame=build_user_frame(scope), kind=kind, offer=offer, problem=problem))
