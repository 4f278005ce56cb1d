"""The user's account on the phone: real name, party membership, orgs, points."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.auth.accounts.accounts import declare_party_member
from app.auth.accounts.queries import get_me, list_verifications
from app.auth.accounts.schemas import MeOut
from app.auth.verification.methods import build_redirect_url, list_methods, require_method
from app.auth.verification.schemas import VerificationCreate, VerificationMethodOut, VerificationOut
from app.auth.verification.verifications import begin_verification
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
from app.web.errors import NotFound, Problem
from devtools.phone.proofs import MAX_FORM_BYTES, ProofFormDep, list_method_names, read_proof
from devtools.phone.sign_in import PhoneRoute

router = APIRouter(prefix="/phone", route_class=PhoneRoute, include_in_schema=False)

Method = Annotated[str, Path(max_length=40)]


class MePage(Context, template="phone/me.html"):
    """The home page. `waiting` is the number of waiting requests, `unread` the number of unread messages,
    `verification` the user's newest verification, `methods` the ways to begin one."""

    me: MeOut
    orgs: Sequence[UserOrgRow]
    waiting: int
    unread: int
    verification: VerificationOut | None
    methods: Sequence[VerificationMethodOut]
    method_names: Mapping[str, str]


class VerificationForm(FormContext, template="phone/verification.html"):
    """The form for a name and a number, by one method."""

    method: str
    method_name: str


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
        methods=list_methods(request),
        method_names=list_method_names(),
    )
    return render_page(request, page)


@router.get("/verification/{method}")
async def show_verification(request: Request, scope: SignedIn, method: Method) -> Response:
    """Show the form for a name and an ID number. Raises NotFound for a method that is not offered."""
    return render_page(request, _build_form(request, method))


@router.post("/verification/{method}", max_body_size=MAX_FORM_BYTES)
async def add_verification(
    request: Request, db: WriteDb, cipher: CipherDep, scope: SignedIn, form: ProofFormDep, method: Method
) -> Response:
    """Submit name and ID number (S1): go on to the provider, or back to wait for the review. The form never shows a
    typed ID number again."""
    page = _build_form(request, method)
    form["method"] = method
    body = validate_fields(VerificationCreate, read_proof(form))
    if isinstance(body, ValidationError):
        return render_page(request, replace(page, form=form, outcome=body))
    require_method(request, body)
    outcome = await catch_problem(db, begin_verification(db, cipher, scope, body))
    if isinstance(outcome, Problem):
        return render_page(request, replace(page, form=form, outcome=outcome))
    onward = build_redirect_url(request, outcome.reference) or PhoneRoute.home
    return Response(status_code=303, headers={"Location": onward})


def _build_form(request: Request, method: str) -> VerificationForm:
    if method not in {offered.method for offered in list_methods(request)}:
        raise NotFound
    return VerificationForm(method=method, method_name=list_method_names().get(method, method))


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
