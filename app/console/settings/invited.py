"""What was offered to my own phone: to be an admin (S4), to be main admin of a unit that becomes an org (S7)."""

from collections.abc import Awaitable
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from app.admins.operations import accept_admin_invitation, refuse_admin_invitation
from app.admins.queries import get_received_admin_invitation
from app.admins.schemas import ReceivedAdminInvitationOut
from app.authz.access import SignedIn, UserScope
from app.console.frame.confirmations import Confirmation, confirmed
from app.console.frame.forms import refusal_of
from app.console.frame.route import ConsoleRoute
from app.console.frame.standing import at_home
from app.console.frame.templates import page
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


@router.get("/{kind}/{offer_id}")
async def show_offer(request: Request, db: ReadDb, scope: SignedIn, kind: Kind, offer_id: OfferId) -> Response:
    """What is offered, by whom, until when."""
    return _show(request, scope, kind, await get_offer(db, scope, kind, offer_id), None)


@router.post("/{kind}/{offer_id}/acceptance")
async def accept(
    request: Request, db: WriteDb, cipher: CipherDep, scope: SignedIn, kind: Kind, offer_id: OfferId
) -> Response:
    """Accepts it, and goes to the org; refused, the page says why."""
    one = await get_offer(db, scope, kind, offer_id)
    accepting: Awaitable[UUID | LockedOrg | Problem]
    if kind == "promotion":
        accepting = accept_promotion(db, cipher, scope, offer_id)
    else:
        accepting = accept_admin_invitation(db, cipher, scope, offer_id)
    outcome: UUID | LockedOrg | Problem = await refusal_of(db, accepting)
    if isinstance(outcome, Problem):
        return _show(request, scope, kind, one, outcome)
    org_id = outcome if isinstance(outcome, UUID) else outcome.id
    return Response(status_code=303, headers={"Location": f"/console/orgs/{org_id}"})


@confirmed(router, "/{kind}/{offer_id}/refusal")
async def refuse(request: Request, db: ReadableDb, scope: SignedIn, kind: Kind, offer_id: OfferId) -> Confirmation:
    """Declines it, the name of the org that it is, or would be, having been typed."""
    one = await get_offer(db, scope, kind, offer_id)
    refusing = refuse_promotion if kind == "promotion" else refuse_admin_invitation
    name = one.name if isinstance(one, OfferedPromotionOut) else one.org_name
    return Confirmation(
        title=gettext("谢绝“{name}”", name=name),
        says=gettext("谢绝后不能再接受；需要时请对方重新发出。"),
        button=gettext("谢绝"),
        act=lambda db, _: refusing(db, scope, offer_id),
        said=gettext("已谢绝"),
        name=name,
        leads_to=ConsoleRoute.home,
    )


async def get_offer(
    db: Readable, scope: UserScope, kind: Kind, offer_id: UUID
) -> OfferedPromotionOut | ReceivedAdminInvitationOut:
    """The open offer to the caller. Raises NotFound if it is for another or has been answered."""
    if kind == "promotion":
        return await get_offered_promotion(db, scope.user_id, offer_id)
    return await get_received_admin_invitation(db, scope.user_id, offer_id)


def _show(
    request: Request,
    scope: UserScope,
    kind: Kind,
    one: OfferedPromotionOut | ReceivedAdminInvitationOut,
    problem: Problem | None,
) -> Response:
    shown = {**at_home(scope), "kind": kind, "one": one, "problem": problem}
    return page(request, "settings/invited.html", problem.status if problem else 200, **shown)
