"""My account on the phone: real name, party membership, my orgs, my points."""

from datetime import timedelta

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from app.auth.accounts.accounts import declare_party_member
from app.auth.accounts.queries import get_me, list_verifications
from app.auth.errors import AlipayUnavailable
from app.auth.verification.alipay import ALIPAY
from app.auth.verification.schemas import IdCardVerificationCreate
from app.auth.verification.verifications import VerifiedPerson, begin_alipay_verification, submit_id_card
from app.authz.access import SignedIn
from app.console.frame.forms import PageForm, checked, fields_of, refusal_of
from app.console.frame.templates import page
from app.core.calendar import today
from app.core.cipher import CipherDep
from app.database.db import ReadDb, WriteDb
from app.database.paging import Paging
from app.inbox.queries import count_waiting
from app.orgs.queries import list_user_orgs
from app.points.queries import get_points
from app.web.errors import Problem
from devtools.phone.sign_in import PhoneRoute

router = APIRouter(prefix="/phone", route_class=PhoneRoute, include_in_schema=False)


@router.get("/")
async def show_me(request: Request, db: ReadDb, cipher: CipherDep, scope: SignedIn) -> Response:
    """The first page."""
    shown = {
        "me": await get_me(db, cipher, scope),
        "orgs": await list_user_orgs(db, scope.user_id),
        "waiting": sum((await count_waiting(db, scope.user_id)).values()),
        "verification": next(iter((await list_verifications(db, scope, Paging(1, None))).items), None),
    }
    return page(request, "phone/me.html", **shown)


@router.post("/verification")
async def begin_verification(request: Request, db: WriteDb, scope: SignedIn) -> Response:
    """On to Alipay, which tells the service what it finds."""
    provider = ALIPAY.of(request)
    if provider is None:
        raise AlipayUnavailable
    _, reference = await begin_alipay_verification(db, scope)
    return Response(status_code=303, headers={"Location": provider.redirect_url(reference)})


@router.get("/verification/id-card")
async def show_id_card(request: Request, scope: SignedIn) -> Response:
    """The form of the slow way: an operator reviews what is handed in."""
    return page(request, "phone/id_card.html", form={}, wrong=set(), problem=None)


@router.post("/verification/id-card")
async def hand_in_id_card(
    request: Request, db: WriteDb, cipher: CipherDep, scope: SignedIn, form: PageForm
) -> Response:
    """Hands in name and ID number (S1). What was typed of the number is not shown again."""
    fields = {"method": "id-card", "name": form.get("name", ""), "id_number": form.get("id_number", "")}
    body = checked(IdCardVerificationCreate, fields)
    problem: Problem | None = None
    if not isinstance(body, ValidationError):
        person = VerifiedPerson(body.name, body.id_number)
        outcome = await refusal_of(db, submit_id_card(db, cipher, scope, person))
        if not isinstance(outcome, Problem):
            return Response(status_code=303, headers={"Location": PhoneRoute.home})
        problem = outcome
    wrong = fields_of(body) if isinstance(body, ValidationError) else set()
    status = problem.status if problem else 422
    return page(request, "phone/id_card.html", status, form=form, wrong=wrong, problem=problem)


@router.post("/party-membership")
async def declare_membership(db: WriteDb, scope: SignedIn, form: PageForm) -> Response:
    """What only I can say (S2)."""
    await declare_party_member(db, scope, form.get("party_member") == "yes")
    return Response(status_code=303, headers={"Location": PhoneRoute.home})


@router.get("/points")
async def show_points(request: Request, db: ReadDb, scope: SignedIn) -> Response:
    """My points, day by day."""
    now = today()
    points = await get_points(db, scope.user_id, now, now - timedelta(days=29), now)
    return page(request, "phone/points.html", points=points)
