"""The user's account on the phone: real name, party membership, orgs, points."""

from collections.abc import Sequence
from datetime import timedelta

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from app.auth.accounts.accounts import declare_party_member
from app.auth.accounts.queries import get_me, list_verifications
from app.auth.accounts.schemas import MeOut
from app.auth.errors import AlipayUnavailable
from app.auth.verification.alipay import ALIPAY
from app.auth.verification.schemas import IdCardVerificationCreate, VerificationOut
from app.auth.verification.verifications import VerifiedPerson, begin_alipay_verification, submit_id_card
from app.authz.access import SignedIn
from app.console.frame.forms import FormContext, PageForm, catch_problem, validate_fields
from app.console.frame.templates import Context, render_page
from app.core.calendar import today
from app.core.cipher import CipherDep
from app.database.db import ReadDb, WriteDb
from app.database.paging import Paging
from app.inbox.queries import count_waiting_requests
from app.messages.queries import count_unread
from app.orgs.queries import UserOrgRow, list_user_orgs
from app.points.queries import get_points
from app.points.schemas import MyPointsOut
from app.web.errors import Problem
from devtools.phone.sign_in import PhoneRoute

router = APIRouter(prefix="/phone", route_class=PhoneRoute, include_in_schema=False)


class MePage(Context, template="phone/me.html"):
    """The home page. `waiting` is the number of waiting requests, `unread` the number of unread messages,
    `verification` the user's newest verification."""

    me: MeOut
    orgs: Sequence[UserOrgRow]
    waiting: int
    unread: int
    verification: VerificationOut | None


class IdCardForm(FormContext, template="phone/id_card.html"):
    pass


class PointsPage(Context, template="phone/points.html"):
    points: MyPointsOut


@router.get("/")
async def show_me(request: Request, db: ReadDb, cipher: CipherDep, scope: SignedIn) -> Response:
    """Show the home page."""
    page = MePage(
        me=await get_me(db, cipher, scope),
        orgs=await list_user_orgs(db, scope.user_id),
        unread=await count_unread(db, scope.user_id),
        waiting=sum((await count_waiting_requests(db, scope)).values()),
        verification=next(iter((await list_verifications(db, scope, Paging(1, None))).items), None),
    )
    return render_page(request, page)


@router.post("/verification")
async def begin_verification(request: Request, db: WriteDb, scope: SignedIn) -> Response:
    """Redirect to Alipay, which sends its result to the service."""
    provider = ALIPAY.get(request)
    if provider is None:
        raise AlipayUnavailable
    _, reference = await begin_alipay_verification(db, scope)
    return Response(status_code=303, headers={"Location": provider.build_redirect_url(reference)})


@router.get("/verification/id-card")
async def show_id_card(request: Request, scope: SignedIn) -> Response:
    """Show the form for an ID card, which an operator reviews."""
    return render_page(request, IdCardForm())


@router.post("/verification/id-card")
async def add_id_card(request: Request, db: WriteDb, cipher: CipherDep, scope: SignedIn, form: PageForm) -> Response:
    """Submit name and ID number (S1). The form never shows a typed ID number again."""
    fields = {"method": "id-card", "name": form.get("name", ""), "id_number": form.get("id_number", "")}
    body = validate_fields(IdCardVerificationCreate, fields)
    if isinstance(body, ValidationError):
        return render_page(request, IdCardForm(form=form, outcome=body))
    outcome = await catch_problem(db, submit_id_card(db, cipher, scope, VerifiedPerson(body.name, body.id_number)))
    if isinstance(outcome, Problem):
        return render_page(request, IdCardForm(form=form, outcome=outcome))
    return Response(status_code=303, headers={"Location": PhoneRoute.home})


@router.post("/party-membership")
async def declare_party_membership(db: WriteDb, scope: SignedIn, form: PageForm) -> Response:
    """Store whether the user is a party member, as the form says (S2)."""
    await declare_party_member(db, scope, form.get("party_member") == "yes")
    return Response(status_code=303, headers={"Location": PhoneRoute.home})


@router.get("/points")
async def show_points(request: Request, db: ReadDb, scope: SignedIn) -> Response:
    """Show the user's points by day."""
    now = today()
    points = await get_points(db, scope.user_id, now, now - timedelta(days=29), now)
    return render_page(request, PointsPage(points=points))
