"""Requests to join the org: accept them with units, or refuse them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.directory.pickers import UnitPicker, load_picker
from app.console.frame.confirmations import PAGE_CHANGED, Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import Form, FormContext, Outcome, PageForm, catch_problem, validate_fields
from app.console.frame.notices import show_message
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page, render_part
from app.core.cipher import CipherDep
from app.core.i18n import gettext
from app.database.db import Readable, ReadableDb, ReadDb, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.joins.errors import JoinRequestDecided
from app.members.joins.operations import accept_join_request, refuse_join_request
from app.members.joins.queries import get_received_join_request, get_waiting_asker, list_received_join_requests
from app.members.joins.schemas import JoinAcceptance, ReceivedJoinRequestOut
from app.web.errors import NotFound, Problem

router = APIRouter(prefix="/console/orgs/{org_id}/join-requests", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]
RequestId = Annotated[UUID, Path()]


class JoinRequestsPage(FrameContext, template="directory/joins.html"):
    requests: Page[ReceivedJoinRequestOut]


class JoinAcceptanceForm(FormContext, FrameContext, template="directory/join_acceptance.html"):
    join_request: ReceivedJoinRequestOut
    picker: UnitPicker


@router.get("")
async def show_join_requests(
    request: Request, db: ReadDb, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show the requests that wait for the org's admins."""
    requests = await list_received_join_requests(db, scope.org_id, paging)
    return render_page(request, JoinRequestsPage(frame=build_org_frame(scope, "joins"), requests=requests))


@router.get("/{request_id}/acceptance")
async def show_acceptance_form(request: Request, db: ReadDb, scope: Writer, request_id: RequestId) -> Response:
    """Show the form with which an admin accepts a join request: the units to choose from. The unit of the join link is
    already chosen."""
    join_request = await get_received_join_request(db, scope.org_id, request_id)
    chosen = Form([("unit_id", str(join_request.unit_id))] if join_request.unit_id else [])
    return await _show_acceptance_form(request, db, scope, request_id, chosen)


@router.post("/{request_id}/acceptance")
async def confirm_acceptance(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, request_id: RequestId, form: PageForm
) -> Response:
    """Add the person to the directory, in the chosen units."""
    body = validate_fields(JoinAcceptance, {"unit_ids": form.get_all("unit_id")})
    if isinstance(body, ValidationError):
        return await _show_acceptance_form(request, db, scope, request_id, form, body)
    outcome = await catch_problem(db, accept_join_request(db, cipher, scope, request_id, body.unit_ids))
    if isinstance(outcome, Problem):
        return await _show_acceptance_form(request, db, scope, request_id, form, outcome)
    return show_message(request, gettext("已同意，此人已列入本组织通讯录"), PAGE_CHANGED)


@add_confirmation_routes(router, "/{request_id}/refusal")
async def confirm_refusal(request: Request, db: ReadableDb, scope: Writer, request_id: RequestId) -> Confirmation:
    """Refuse the join request, with a reason that the person can read. The user types the person's name to confirm."""
    asker = await get_waiting_asker(db, scope.org_id, request_id)
    name = asker.verified_name or asker.name or ""
    return Confirmation(
        title=gettext("拒绝 {name} 加入", name=name),
        explanation=gettext("申请人会看到理由；通讯录保持不变。"),
        button=gettext("拒绝"),
        operation=lambda db, reason: refuse_join_request(db, scope, request_id, reason),
        message=gettext("已拒绝，理由已告知对方"),
        name=name,
        reason=gettext("拒绝的理由"),
    )


async def _show_acceptance_form(
    request: Request, db: Readable, scope: OrgScope, request_id: UUID, form: Form, outcome: Outcome = None
) -> Response:
    try:
        join_request = await get_received_join_request(db, scope.org_id, request_id)
    except NotFound:  # The request was decided in the meantime: no choice is left.
        raise (outcome if isinstance(outcome, Problem) else JoinRequestDecided()) from None
    picker = await load_picker(db, scope.org_id, form.get_all("unit_id"))
    page = JoinAcceptanceForm(
        frame=build_org_frame(scope, "joins"), join_request=join_request, picker=picker, form=form, outcome=outcome
    )
    return render_part(request, page)
