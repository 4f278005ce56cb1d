"""The org's admins (设置, S4): invite by phone, remove, resign."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.admins import operations, queries
from app.admins.invitees import Invitee
from app.admins.schemas import AdminInvitationOut, AdminOut
from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.frame.confirmations import PAGE_CHANGED, Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import FormContext, PageForm, catch_problem, validate_fields
from app.console.frame.notices import show_message
from app.console.frame.phone_fields import read_phone
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page, render_part
from app.core.cipher import CipherDep
from app.core.i18n import gettext
from app.database.db import ReadableDb, ReadDb, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.web.errors import NotFound, Problem

router = APIRouter(prefix="/console/orgs/{org_id}/settings", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.ADMINS_READ)]
MainAdmin = Annotated[OrgScope, Can(Permission.ADMINS_WRITE)]
Resigning = Annotated[OrgScope, Can(Permission.ADMINS_RESIGN)]


class AdminsPage(FrameContext, template="settings/admins.html"):
    admins: Sequence[AdminOut]
    invitations: Page[AdminInvitationOut]


class NewAdmin(FormContext, FrameContext, template="settings/new_admin.html"):
    pass


@router.get("/admins")
async def show_admins(
    request: Request, db: ReadDb, cipher: CipherDep, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show the admins and the pending invitations."""
    invitations = await queries.list_admin_invitations(db, cipher, scope.org_id, paging)
    admins = await queries.list_admins(db, scope.org_id)
    frame = build_org_frame(scope, "settings")
    return render_page(request, AdminsPage(frame=frame, admins=admins, invitations=invitations))


@router.get("/admin-invitations/new")
async def show_new_admin(request: Request, scope: MainAdmin) -> Response:
    """Show the form to invite an admin by phone."""
    return render_part(request, NewAdmin(frame=build_org_frame(scope, "settings")))


@router.post("/admin-invitations")
async def submit_invitation(
    request: Request, db: WriteDb, cipher: CipherDep, scope: MainAdmin, form: PageForm
) -> Response:
    """Invite a person to become an admin. The answer does not reveal whether a user has the phone."""
    body: Any = validate_fields(Invitee, read_phone(form))
    outcome = body
    if not isinstance(body, ValidationError):
        outcome = await catch_problem(db, operations.invite_admin(db, cipher, scope, body))
    if isinstance(outcome, ValidationError | Problem):
        frame = build_org_frame(scope, "settings")
        return render_part(request, NewAdmin(frame=frame, form=form, outcome=outcome))
    return show_message(request, gettext("已发出邀请，等待对方答复"), PAGE_CHANGED)


@add_confirmation_routes(router, "/admin-invitations/{invitation_id}/withdrawal")
async def confirm_withdrawal(
    request: Request, db: ReadableDb, cipher: CipherDep, scope: MainAdmin, invitation_id: Annotated[UUID, Path()]
) -> Confirmation:
    """Withdraw an invitation. The user types the org's name to confirm."""
    found = await queries.get_admin_invitation(db, cipher, scope.org_id, invitation_id)
    return Confirmation(
        title=gettext("撤回对 {phone} 的邀请", phone=found.phone) if found.phone else gettext("撤回邀请"),
        explanation=gettext("撤回后对方不能再接受；需要时可以重新邀请。"),
        button=gettext("撤回"),
        operation=lambda db, _: operations.withdraw_admin_invitation(db, scope, invitation_id),
        message=gettext("邀请已撤回"),
        name=scope.org.name,
    )


@add_confirmation_routes(router, "/admins/me/resignation")
async def confirm_resignation(request: Request, db: ReadableDb, scope: Resigning) -> Confirmation:
    """Resign as admin. The caller then has no access to the org."""
    return Confirmation(
        title=gettext("退出管理组"),
        explanation=gettext(
            "退出后您不能再管理“{name}”；如需恢复，须由主管理员再次添加。您仍在通讯录中。", name=scope.org.name
        ),
        button=gettext("退出管理组"),
        operation=lambda db, _: operations.resign(db, scope),
        message=gettext("您已退出“{name}”的管理组", name=scope.org.name),
        name=scope.org.name,
        next_page="/console/",
    )


@add_confirmation_routes(router, "/admins/{user_id}/removal")
async def confirm_removal(
    request: Request, db: ReadableDb, scope: MainAdmin, user_id: Annotated[UUID, Path()]
) -> Confirmation:
    """Remove an admin. The user types the admin's name to confirm."""
    admin = next((found for found in await queries.list_admins(db, scope.org_id) if found.user_id == user_id), None)
    if admin is None:
        raise NotFound
    return Confirmation(
        title=gettext("移除管理员 {name}", name=admin.name or ""),
        explanation=gettext("{name} 将不能再管理本组织，但仍在通讯录中；需要时可以再次添加。", name=admin.name or ""),
        button=gettext("移除"),
        operation=lambda db, _: operations.remove_admin(db, scope, user_id),
        message=gettext("{name} 不再是管理员", name=admin.name or ""),
        name=admin.name,
    )
