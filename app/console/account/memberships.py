"""The page with the directories in which the user is: ask to be removed, block an org."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import TypeAdapter

from app.authz.access import SignedIn
from app.console.frame.confirmations import Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_user_frame
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page
from app.core.cipher import CipherDep
from app.core.i18n import gettext
from app.database.db import ReadableDb, ReadDb
from app.database.paging import CursorQuery, Page, Paging, paged_by, read_paging
from app.members.own.operations import block_org, unblock_org
from app.members.own.queries import get_blocked_org, get_membership, list_blocked_orgs, list_memberships
from app.members.own.schemas import BlockedOrgOut, MembershipOut
from app.members.removals.operations import create_removal_request, withdraw_removal_request
from app.web.errors import NotFound

router = APIRouter(prefix="/console/memberships", route_class=ConsoleRoute, include_in_schema=False)
OrgId = Annotated[UUID, Path()]
_FIRST_PAGE = Paging(50, None)
_CURSOR: TypeAdapter[Any] = TypeAdapter(tuple[UUID])


class MembershipsPage(FrameContext, template="account/memberships.html"):
    memberships: Page[MembershipOut]
    blocked: Page[BlockedOrgOut]


@router.get("")
async def show_memberships(
    request: Request,
    db: ReadDb,
    scope: SignedIn,
    paging: Annotated[Paging, paged_by(UUID)],
    blocked_cursor: CursorQuery = None,
) -> Response:
    """Show the caller's own rows: the orgs and units in which the caller is a member, as each org has stored them; and
    the orgs that the caller has blocked."""
    found = await list_memberships(db, scope.user_id, paging)
    blocked_page = read_paging(_FIRST_PAGE.limit, blocked_cursor, _CURSOR)
    blocked = await list_blocked_orgs(db, scope.user_id, blocked_page)
    frame = build_user_frame(scope, "memberships")
    return render_page(request, MembershipsPage(frame=frame, memberships=found, blocked=blocked))


@add_confirmation_routes(router, "/{org_id}/removal-request")
async def request_removal(request: Request, db: ReadableDb, scope: SignedIn, org_id: OrgId) -> Confirmation:
    """Request that the org remove the caller from its directory."""
    found = await get_membership(db, scope.user_id, org_id)
    return Confirmation(
        title=gettext("申请从“{org}”移出", org=found.org_name),
        explanation=gettext("由该组织的学习管理员在 30 天内处理。移出之前一切不变；您的账号和积分不受影响。"),
        button=gettext("申请移出"),
        operation=lambda db, _: create_removal_request(db, scope, org_id),
        message=gettext("已提出申请，请等待该组织处理"),
        danger=False,
    )


@add_confirmation_routes(router, "/{org_id}/removal-request/withdrawal")
async def withdraw_removal(request: Request, db: ReadableDb, scope: SignedIn, org_id: OrgId) -> Confirmation:
    """Withdraw the removal request that waits. Raises NotFound if none waits."""
    found = await get_membership(db, scope.user_id, org_id)
    request_id = found.removal_request_id
    if request_id is None:
        raise NotFound
    return Confirmation(
        title=gettext("撤回移出申请"),
        explanation=gettext("您仍在“{org}”的通讯录中，以后可以再次申请。", org=found.org_name),
        button=gettext("撤回申请"),
        operation=lambda db, _: withdraw_removal_request(db, scope, request_id),
        message=gettext("已撤回申请"),
        danger=False,
    )


@add_confirmation_routes(router, "/{org_id}/block")
async def block(request: Request, db: ReadableDb, scope: SignedIn, org_id: OrgId) -> Confirmation:
    """Block an org that has the user in its directory."""
    found = await get_membership(db, scope.user_id, org_id)
    return Confirmation(
        title=gettext("不接受“{org}”的关联", org=found.org_name),
        explanation=gettext(
            "适用于您不认识的组织。其通讯录中的登记不再关联您的账号，变为未激活；以后可以在此页取消。账号和积分不受影响。"
        ),
        button=gettext("不接受"),
        operation=lambda db, _: block_org(db, scope, org_id),
        message=gettext("已设置：该组织不再关联您的账号"),
        danger=False,
    )


@add_confirmation_routes(router, "/{org_id}/block/removal")
async def unblock(request: Request, db: ReadableDb, cipher: CipherDep, scope: SignedIn, org_id: OrgId) -> Confirmation:
    """Lift the block. Raises NotFound if the org is not blocked."""
    name = (await get_blocked_org(db, scope.user_id, org_id)).org_name
    return Confirmation(
        title=gettext("重新接受“{org}”的关联", org=name),
        explanation=gettext("该组织的通讯录中如有您的手机号码和姓名，立即变为已激活。"),
        button=gettext("重新接受"),
        operation=lambda db, _: unblock_org(db, cipher, scope, org_id),
        message=gettext("已取消，该组织可以关联您的账号"),
        danger=False,
    )
