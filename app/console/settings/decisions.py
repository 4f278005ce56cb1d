"""Change requests of the direct subordinates (S4, S5): approve, or refuse with a reason."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from app.admins.change_decisions import approve_change_request, refuse_change_request
from app.admins.change_queries import get_change_request, list_received_change_requests
from app.admins.schemas import ChangeRequestOut
from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.frame.confirmations import Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page
from app.core.i18n import gettext
from app.database.db import Readable, ReadableDb, ReadDb
from app.database.paging import Page, Paging, paged_by
from app.web.errors import NotFound

router = APIRouter(prefix="/console/orgs/{org_id}/settings/received", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.CHANGES_READ)]
Writer = Annotated[OrgScope, Can(Permission.CHANGES_WRITE)]
RequestId = Annotated[UUID, Path()]


class ReceivedRequestsPage(FrameContext, template="settings/received.html"):
    requests: Page[ChangeRequestOut]


@router.get("")
async def show_received_requests(
    request: Request, db: ReadDb, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show the requests that wait for this org's decision."""
    requests = await list_received_change_requests(db, scope.org_id, paging)
    return render_page(request, ReceivedRequestsPage(frame=build_org_frame(scope, "settings"), requests=requests))


@add_confirmation_routes(router, "/{request_id}/approval")
async def confirm_approval(request: Request, db: ReadableDb, scope: Writer, request_id: RequestId) -> Confirmation:
    """Approve the request. The change takes effect at once."""
    change = await _get_received_request(db, scope, request_id)
    if change.kind == "rename":
        explanation = gettext(
            "“{before}”的名称立即改为“{after}”。", before=change.name_before or "", after=change.name_after or ""
        )
    else:
        named = change.main_admin_after.name if change.main_admin_after else None
        explanation = gettext(
            "{name} 立即成为“{org}”的主管理员，原主管理员仍是管理员。", name=named or "", org=change.org_name
        )
    return Confirmation(
        title=gettext("同意“{name}”的申请", name=change.org_name),
        explanation=explanation,
        button=gettext("同意"),
        operation=lambda db, _: approve_change_request(db, scope, request_id),
        message=gettext("已同意，变更已生效"),
        danger=False,
    )


@add_confirmation_routes(router, "/{request_id}/refusal")
async def confirm_refusal(request: Request, db: ReadableDb, scope: Writer, request_id: RequestId) -> Confirmation:
    """Refuse the change request, with a reason that the admins of the requesting org can read. The user types that
    org's name to confirm."""
    change = await _get_received_request(db, scope, request_id)
    return Confirmation(
        title=gettext("拒绝“{name}”的申请", name=change.org_name),
        explanation=gettext("对方的管理员会看到理由，并可以重新申请。"),
        button=gettext("拒绝"),
        operation=lambda db, reason: refuse_change_request(db, scope, request_id, reason),
        message=gettext("已拒绝，理由已告知对方"),
        name=change.org_name,
        reason=gettext("拒绝的理由"),
    )


async def _get_received_request(db: Readable, scope: OrgScope, request_id: UUID) -> ChangeRequestOut:
    change = await get_change_request(db, scope.org_id, request_id)
    if change.org_id == scope.org_id:
        raise NotFound
    return change
