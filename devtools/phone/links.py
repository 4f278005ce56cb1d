"""“这是我” on the phone: a user with another phone requests to be linked to their row in a directory (S18)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.authz.access import SignedIn
from app.console.frame.forms import Form, FormContext, Outcome, PageForm, catch_problem, validate_fields
from app.console.frame.regions import RegionChoices
from app.console.frame.templates import render_page
from app.database.db import Readable, ReadDb, WriteDb
from app.database.paging import Paging, paged_by
from app.members.links.operations import create_link_request, withdraw_link_request
from app.members.links.queries import list_own_requests
from app.members.links.schemas import LinkRequestCreate, LinkRequestOut
from app.web.errors import Problem
from devtools.phone.regions import find_phone_region_choices
from devtools.phone.sign_in import PhoneRoute

router = APIRouter(prefix="/phone/link-requests", route_class=PhoneRoute, include_in_schema=False)

HOME = "/phone/link-requests"
_FIRST = Paging(50, None)


class LinkRequestsPage(FormContext, template="phone/link_requests.html"):
    """The form for a request, and a page of the user's own requests."""

    requests: Sequence[LinkRequestOut]
    next_cursor: str | None

    @property
    def region_choices(self) -> RegionChoices:
        return find_phone_region_choices(self.form)


@router.get("")
async def show_requests(
    request: Request, db: ReadDb, scope: SignedIn, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show the user's own requests with their states, the newest first, and the form for another one."""
    return await _show(request, db, scope.user_id, replace(paging, limit=_FIRST.limit))


@router.post("")
async def send_link_request(request: Request, db: WriteDb, scope: SignedIn, form: PageForm) -> Response:
    """Request to be linked to the user's row in the directory of the named org."""
    body = validate_fields(LinkRequestCreate, form.get_filled("org_name", "region_code"))
    if isinstance(body, ValidationError):
        return await _show(request, db, scope.user_id, _FIRST, form, body)
    outcome = await catch_problem(db, create_link_request(db, scope, body))
    if isinstance(outcome, Problem):
        return await _show(request, db, scope.user_id, _FIRST, form, outcome)
    return Response(status_code=303, headers={"Location": HOME})


@router.post("/{request_id}/withdrawal")
async def withdraw(request: Request, db: WriteDb, scope: SignedIn, request_id: Annotated[UUID, Path()]) -> Response:
    """Withdraw a request."""
    outcome = await catch_problem(db, withdraw_link_request(db, scope, request_id))
    if isinstance(outcome, Problem):
        return await _show(request, db, scope.user_id, _FIRST, outcome=outcome)
    return Response(status_code=303, headers={"Location": HOME})


async def _show(
    request: Request, db: Readable, user_id: UUID, paging: Paging, form: Form | None = None, outcome: Outcome = None
) -> Response:
    found = await list_own_requests(db, user_id, paging)
    page = LinkRequestsPage(form=form or Form([]), outcome=outcome, requests=found.items, next_cursor=found.next_cursor)
    return render_page(request, page)
