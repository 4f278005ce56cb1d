"""Requests of people to be removed from the directory: accept or refuse."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.frame.confirmations import Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page
from app.core.i18n import gettext
from app.database.db import Readable, ReadableDb, ReadDb
from app.database.paging import Page, Paging, paged_by
from app.members.removals.errors import RemovalRequestDecided
from app.members.removals.operations import accept_removal_request, refuse_removal_request
from app.members.removals.queries import get_received_removal_request, list_received_removal_requests
from app.members.removals.schemas import ReceivedRemovalRequestOut
from app.web.errors import NotFound

router = APIRouter(prefix="/console/orgs/{org_id}/removal-requests", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]
RequestId = Annotated[UUID, Path()]


class RemovalRequestsPage(FrameContext, template="directory/removals.html"):
    requests: Page[ReceivedRemovalRequestOut]


@router.get("")
async def show_removal_requests(
    request: Request, db: ReadDb, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show the requests that wait for the org's admins."""
    requests = await list_received_removal_requests(db, scope.org_id, paging)
    return render_page(request, RemovalRequestsPage(frame=build_org_frame(scope, "removals"), requests=requests))


@add_confirmation_routes(router, "/{request_id}/acceptance")
async def confirm_acceptance(request: Request, db: ReadableDb, scope: Writer, request_id: RequestId) -> Confirmation:
    """Remove the person from the directory. The user types the person's name to confirm."""
    found = await _get_request(db, scope, request_id)
    return Confirmation(
        title=gettext("同意移出 {name}", name=found.name),
        explanation=gettext(
            "此人不再列入本组织通讯录；账号和积分不受影响，以往记录不变。30 天内可以在“最近移除”中恢复。"
        ),
        button=gettext("同意移出"),
        operation=lambda db, _: accept_removal_request(db, scope, request_id),
        message=gettext("已同意，此人已移出本组织通讯录"),
        name=found.name,
    )


@add_confirmation_routes(router, "/{request_id}/refusal")
async def confirm_refusal(request: Request, db: ReadableDb, scope: Writer, request_id: RequestId) -> Confirmation:
    """Refuse the removal request, with a reason that the person can read. The user types the person's name to
    confirm."""
    found = await _get_request(db, scope, request_id)
    return Confirmation(
        title=gettext("拒绝移出 {name}", name=found.name),
        explanation=gettext("申请人会看到理由；通讯录保持不变。"),
        button=gettext("拒绝"),
        operation=lambda db, reason: refuse_removal_request(db, scope, request_id, reason),
        message=gettext("已拒绝，理由已告知对方"),
        name=found.name,
        reason=gettext("拒绝的理由"),
    )


async def _get_request(db: Readable, scope: OrgScope, request_id: UUID) -> ReceivedRemovalRequestOut:
    """Return the request. Raises RemovalRequestDecided if it does not wait any more."""
    try:
        return await get_received_removal_request(db, scope.org_id, request_id)
    except NotFound:
        raise RemovalRequestDecided from None
