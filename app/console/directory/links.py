"""Link requests, “that is me” (S18): accept or refuse them, and unlink a member from its account."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.directory.people import CHANGED
from app.console.frame.confirmations import PAGE_CHANGED, Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import Form, FormContext, Outcome, PageForm, catch_problem, validate_fields
from app.console.frame.notices import show_message
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page, render_part
from app.core.cipher import Cipher, CipherDep
from app.core.i18n import gettext
from app.database.db import Readable, ReadableDb, ReadDb, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.links.operations import accept_link_request, refuse_link_request, undo_link
from app.members.links.queries import get_received_request, get_waiting_requester, list_received_requests
from app.members.links.schemas import LinkRequestAcceptance, ReceivedLinkRequestOut
from app.members.queries import get_member
from app.web.errors import Problem

router = APIRouter(prefix="/console/orgs/{org_id}", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]
RequestId = Annotated[UUID, Path()]
MemberId = Annotated[UUID, Path()]


class LinkRequestsPage(FrameContext, template="directory/links.html"):
    requests: Page[ReceivedLinkRequestOut]


class LinkAcceptanceForm(FormContext, FrameContext, template="directory/link_acceptance.html"):
    link_request: ReceivedLinkRequestOut


@router.get("/link-requests")
async def show_link_requests(
    request: Request, db: ReadDb, cipher: CipherDep, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show the pending link requests with the members that match."""
    requests = await list_received_requests(db, cipher, scope.org_id, paging)
    return render_page(request, LinkRequestsPage(frame=build_org_frame(scope, "links"), requests=requests))


@router.get("/link-requests/{request_id}/acceptance")
async def show_acceptance_form(
    request: Request, db: ReadDb, cipher: CipherDep, scope: Writer, request_id: RequestId
) -> Response:
    """Show the form with which an admin accepts a link request: the effect of linking, and the member rows that
    match."""
    return await _show_acceptance_form(request, db, cipher, scope, request_id, Form([]))


@router.post("/link-requests/{request_id}/acceptance")
async def confirm_acceptance(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, request_id: RequestId, form: PageForm
) -> Response:
    """Link the member to the requester's account."""
    body = validate_fields(LinkRequestAcceptance, form.get_filled("member_id"))
    if isinstance(body, ValidationError) or body.member_id is None:
        return await _show_acceptance_form(request, db, cipher, scope, request_id, form, {"member_id"})
    outcome = await catch_problem(db, accept_link_request(db, scope, request_id, body.member_id))
    if isinstance(outcome, Problem):
        return await _show_acceptance_form(request, db, cipher, scope, request_id, form, outcome)
    return show_message(request, gettext("已关联，此人的状态变为已激活"), PAGE_CHANGED)


@add_confirmation_routes(router, "/link-requests/{request_id}/refusal")
async def confirm_refusal(request: Request, db: ReadableDb, scope: Writer, request_id: RequestId) -> Confirmation:
    """Refuse the request with a reason that the requester reads. The user types the requester's name to confirm."""
    link_request = await get_waiting_requester(db, scope.org_id, request_id)
    return Confirmation(
        title=gettext("拒绝与 {name} 关联", name=link_request.name),
        explanation=gettext("申请人会看到理由；通讯录保持不变。"),
        button=gettext("拒绝"),
        operation=lambda db, reason: refuse_link_request(db, scope, request_id, reason),
        message=gettext("已拒绝，理由已告知对方"),
        name=link_request.name,
        reason=gettext("拒绝的理由"),
    )


@add_confirmation_routes(router, "/members/{member_id}/unlinking")
async def confirm_unlinking(
    request: Request, db: ReadableDb, cipher: CipherDep, scope: Writer, member_id: MemberId
) -> Confirmation:
    """Unlink the member from the account. The user types the member's name to confirm."""
    member = await get_member(db, cipher, scope.org_id, member_id)
    return Confirmation(
        title=gettext("解除 {name} 的关联", name=member.name),
        explanation=gettext(
            "{name} 变为未激活，本人的账号和积分不受影响。以后只有本人申请并经管理员接受才会再次关联。",
            name=member.name,
        ),
        button=gettext("解除关联"),
        operation=lambda db, _: undo_link(db, scope, member_id),
        message=gettext("已解除关联"),
        name=member.name,
        changed=CHANGED,
    )


async def _show_acceptance_form(
    request: Request,
    db: Readable,
    cipher: Cipher,
    scope: OrgScope,
    request_id: UUID,
    form: Form,
    outcome: Outcome = None,
) -> Response:
    try:
        link_request = await get_received_request(db, cipher, scope.org_id, request_id)
    except Problem:  # The request was decided in the meantime: no choice is left.
        if isinstance(outcome, Problem):
            raise outcome from None
        raise
    frame = build_org_frame(scope, "links")
    return render_part(request, LinkAcceptanceForm(frame=frame, form=form, outcome=outcome, link_request=link_request))
