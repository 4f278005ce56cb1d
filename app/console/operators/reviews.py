"""The queue of ID cards (S1): the operator opens one at a time, compares it with the card, and decides."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.auth.operators.schemas import RejectionPut
from app.auth.verification.pictures import Side, read_picture
from app.auth.verification.resident_id import IdNumberParts, read_id_number
from app.auth.verification.reviews import (
    Review,
    ReviewCounts,
    approve_verification,
    begin_review,
    count_reviews,
    find_next_verification,
    list_reviews,
    reject_verification,
)
from app.auth.verification.schemas import ReviewItemOut
from app.authz.access import AsOperator
from app.console.frame.confirmations import PAGE_CHANGED
from app.console.frame.context import FrameContext, build_operator_frame
from app.console.frame.forms import PageForm, validate_fields
from app.console.frame.notices import show_message
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import Context, render_page, render_part
from app.core.cipher import CipherDep
from app.core.i18n import gettext
from app.database.db import ENGINE, ReadDb, WriteDb
from app.database.paging import Paging
from app.idempotency.replay import never_replayed
from app.orgs.regions import describe_past_region
from app.web.downloads import build_picture_response
from app.web.errors import Invalid

router = APIRouter(prefix="/console/operators/verifications", route_class=ConsoleRoute, include_in_schema=False)

VerificationId = Annotated[UUID, Path()]
_MOST_BEGUN = Paging(50, None)
_OLDEST = Paging(1, None)


class ReviewsPage(FrameContext, template="operators/reviews.html"):
    """The queue. `oldest`: the verification that has waited longest. `begun`: those that an operator is reviewing."""

    counts: ReviewCounts
    oldest: ReviewItemOut | None
    begun: Sequence[ReviewItemOut]


class ReviewCard(Context, template="operators/review.html"):
    """One verification: what the person has typed, and what the number says."""

    review: Review
    parts: IdNumberParts
    region_name: str


@router.get("")
async def show_reviews(request: Request, db: ReadDb, scope: AsOperator) -> Response:
    """Show how many ID cards wait, and those that are being reviewed. The page has no name and no number."""
    waiting = (await list_reviews(db, "submitted", _OLDEST)).items
    page = ReviewsPage(
        frame=build_operator_frame(scope),
        counts=await count_reviews(db),
        oldest=waiting[0] if waiting else None,
        begun=(await list_reviews(db, "under-review", _MOST_BEGUN)).items,
    )
    return render_page(request, page)


@router.post("/next")
@never_replayed
async def show_next(request: Request, db: WriteDb, cipher: CipherDep, scope: AsOperator) -> Response:
    """Begin the review of the ID card that has waited longest, and show it. The audit log gets an entry."""
    found = await find_next_verification(db, scope)
    if found is None:
        return show_message(request, gettext("没有等待您审核的身份证"), PAGE_CHANGED)
    return _show_card(request, await begin_review(db, cipher, scope, found))


@router.post("/{verification_id}/review")
@never_replayed
async def show_review(
    request: Request, db: WriteDb, cipher: CipherDep, scope: AsOperator, verification_id: VerificationId
) -> Response:
    """Begin or continue the review of this ID card, also in place of another operator, and show it. The audit log gets
    an entry."""
    return _show_card(request, await begin_review(db, cipher, scope, verification_id))


@router.get("/{verification_id}/pictures/{side}")
async def show_picture(
    request: Request, cipher: CipherDep, scope: AsOperator, verification_id: VerificationId, side: Side
) -> Response:
    """Show one side of the card to its reviewer. The audit log gets an entry."""
    return build_picture_response(await read_picture(ENGINE.get(request), cipher, scope, verification_id, side))


@router.post("/{verification_id}/approval")
async def approve(
    request: Request, db: WriteDb, cipher: CipherDep, scope: AsOperator, verification_id: VerificationId
) -> Response:
    """Approve the ID card. A refusal leaves the card on the page."""
    await approve_verification(db, cipher, scope, verification_id)
    return show_message(request, gettext("已通过，本人已完成实名认证"), PAGE_CHANGED)


@router.post("/{verification_id}/rejection")
async def reject(
    request: Request, db: WriteDb, scope: AsOperator, verification_id: VerificationId, form: PageForm
) -> Response:
    """Reject the ID card with a reason that the person reads. Raises Invalid for another reason than the listed
    ones."""
    body = validate_fields(RejectionPut, {"reason": form.get("reason", "")})
    if isinstance(body, ValidationError):
        raise Invalid
    await reject_verification(db, scope, verification_id, body.reason)
    return show_message(request, gettext("已驳回，本人可以看到原因并重新提交"), PAGE_CHANGED)


def _show_card(request: Request, review: Review) -> Response:
    parts = read_id_number(review.id_number)
    card = ReviewCard(review=review, parts=parts, region_name=describe_past_region(parts.region_code))
    return render_part(request, card)
