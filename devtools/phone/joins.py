"""Requests to join an org on the phone: by a link, or by the org's full name and region; the user's own requests."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import ValidationError

from app.authz.access import SignedIn
from app.console.frame.forms import Form, FormContext, Outcome, PageForm, catch_problem, validate_fields
from app.console.frame.regions import RegionChoices
from app.console.frame.templates import ProblemContext, render_page
from app.database.db import Readable, ReadDb, WriteDb
from app.database.paging import Paging, paged_by
from app.members.joins.links import LiveJoinLink, get_live_join_link
from app.members.joins.operations import create_join_request, withdraw_join_request
from app.members.joins.queries import list_own_join_requests
from app.members.joins.schemas import JoinRequestCreate, JoinRequestOut
from app.web.errors import Problem
from devtools.phone.regions import find_phone_region_choices
from devtools.phone.sign_in import PhoneRoute

router = APIRouter(prefix="/phone", route_class=PhoneRoute, include_in_schema=False)

REQUESTS = "/phone/join-requests"
_MAX_ROWS = 50


class JoinForm(FormContext, template="phone/join_org.html"):
    """The form for a join request. `card` is the org and unit of the link, or None if the user came without a usable
    link."""

    card: LiveJoinLink | None
    token: str

    @property
    def region_choices(self) -> RegionChoices:
        return find_phone_region_choices(self.form)


class JoinRequestsPage(ProblemContext, template="phone/join_requests.html"):
    requests: Sequence[JoinRequestOut]
    next_cursor: str | None


@router.get("/join-org")
async def show_form(
    request: Request, db: ReadDb, scope: SignedIn, link: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """Show the org of a link, or the form to name an org."""
    return await _show_form(request, db, Form([("link_token", link)] if link else []))


@router.post("/join-org")
async def send_join_request(request: Request, db: WriteDb, scope: SignedIn, form: PageForm) -> Response:
    """Send a request to join."""
    body = validate_fields(JoinRequestCreate, form.get_filled("link_token", "org_name", "region_code", "name"))
    if isinstance(body, ValidationError):
        return await _show_form(request, db, form, body)
    outcome = await catch_problem(db, create_join_request(db, scope, body))
    if isinstance(outcome, Problem):
        return await _show_form(request, db, form, outcome)
    return Response(status_code=303, headers={"Location": REQUESTS})


@router.get("/join-requests")
async def show_requests(
    request: Request, db: ReadDb, scope: SignedIn, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show a page of the user's own requests, newest first."""
    return await _show_requests(request, db, scope.user_id, replace(paging, limit=_MAX_ROWS))


@router.post("/join-requests/{request_id}/withdrawal")
async def withdraw(request: Request, db: WriteDb, scope: SignedIn, request_id: Annotated[UUID, Path()]) -> Response:
    """Withdraw a request."""
    outcome = await catch_problem(db, withdraw_join_request(db, scope, request_id))
    if isinstance(outcome, Problem):
        return await _show_requests(request, db, scope.user_id, Paging(_MAX_ROWS, None), outcome)
    return Response(status_code=303, headers={"Location": REQUESTS})


async def _show_requests(
    request: Request, db: Readable, user_id: UUID, paging: Paging, problem: Problem | None = None
) -> Response:
    found = await list_own_join_requests(db, user_id, paging)
    page = JoinRequestsPage(requests=found.items, next_cursor=found.next_cursor, problem=problem)
    return render_page(request, page)


async def _show_form(request: Request, db: Readable, form: Form, outcome: Outcome = None) -> Response:
    card, token = None, form.get("link_token", "")
    if token:
        try:
            card = await get_live_join_link(db, token)
        except Problem as unusable:
            outcome, token = outcome or unusable, ""
    page = JoinForm(form=form, outcome=outcome, card=card, token=token)
    return render_page(request, page)
