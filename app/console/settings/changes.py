"""Change requests to the superior (设置, S4, S5): a new name, a new main admin; and closing the org."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.admins import queries
from app.admins.change_queries import get_change_request, list_change_requests
from app.admins.change_requests import create_change_request, withdraw_change_request
from app.admins.schemas import AdminOut, ChangeRequestOut, HandOverCreate, RecoveryCreate, RenameCreate
from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission, Role
from app.certification.queries import list_superiors
from app.certification.schemas import SuperiorOut
from app.console.frame.confirmations import PAGE_CHANGED, Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import Form, FormContext, Outcome, PageForm, catch_problem, validate_fields
from app.console.frame.notices import show_message
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page, render_part
from app.core.i18n import gettext
from app.database.db import Readable, ReadableDb, ReadDb, WriteDb
from app.database.paging import Paging, paged_by
from app.org_lifecycle.closing_reversal import take_back_closing
from app.org_lifecycle.closure import request_closing
from app.org_lifecycle.queries import find_newest_closing
from app.org_lifecycle.schemas import ClosureOut
from app.schema.approvals import State
from app.web.errors import NotFound, Problem

router = APIRouter(prefix="/console/orgs/{org_id}/settings", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.CHANGES_READ)]
Writer = Annotated[OrgScope, Can(Permission.CHANGES_WRITE)]
Closer = Annotated[OrgScope, Can(Permission.ORG_WRITE)]
Reopener = Annotated[OrgScope, Can(Permission.ORG_REOPEN)]
RequestId = Annotated[UUID, Path()]


class SettingsPage(FrameContext, template="settings/org.html"):
    superior: SuperiorOut | None
    main: AdminOut
    waiting: Sequence[ChangeRequestOut]
    past: Sequence[ChangeRequestOut]
    next_cursor: str | None
    closing: ClosureOut | None


class RenameForm(FormContext, FrameContext, template="settings/rename.html"):
    superior: SuperiorOut | None


class SuccessorForm(FormContext, FrameContext, template="settings/successor.html"):
    """The choice of another main admin among the `others`, for a hand-over or a recovery."""

    superior: SuperiorOut | None
    act: str
    others: Sequence[AdminOut]


@router.get("")
async def show_settings(
    request: Request, db: ReadDb, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show the org, its change requests, and the form to close it."""
    requests = await list_change_requests(db, scope.org_id, paging)
    admins = await queries.list_admins(db, scope.org_id)
    page = SettingsPage(
        frame=build_org_frame(scope, "settings"),
        superior=await _find_superior(db, scope),
        main=next(admin for admin in admins if admin.main),
        waiting=[change for change in requests.items if change.state is State.PENDING],
        past=[change for change in requests.items if change.state is not State.PENDING],
        next_cursor=requests.next_cursor,
        closing=await find_newest_closing(db, scope.org_id),
    )
    return render_page(request, page)


@router.get("/renames/new")
async def show_rename(request: Request, db: ReadDb, scope: Writer) -> Response:
    """Show the form with which an admin requests a new name of the org."""
    return await _show_form(request, db, scope, "renames", Form([]))


@router.post("/renames")
async def request_rename(request: Request, db: WriteDb, scope: Writer, form: PageForm) -> Response:
    """Request another name. Without a superior the new name takes effect at once (S5)."""
    body = validate_fields(
        RenameCreate, {"kind": "rename", "name": form.get("new_name", ""), **form.get_filled("reason")}
    )
    return await _request_change(request, db, scope, "renames", form, body)


@router.get("/hand-overs/new")
async def show_hand_over(request: Request, db: ReadDb, scope: Writer) -> Response:
    """Show the form to hand over the main admin's office."""
    return await _show_form(request, db, scope, "hand-overs", Form([]))


@router.post("/hand-overs")
async def request_hand_over(request: Request, db: WriteDb, scope: Writer, form: PageForm) -> Response:
    """Request that another admin become main admin. Only the main admin may request it."""
    body = validate_fields(HandOverCreate, {"kind": "hand-over", **form.get_filled("main_admin_id", "reason")})
    return await _request_change(request, db, scope, "hand-overs", form, body)


@router.get("/recoveries/new")
async def show_recovery(request: Request, db: ReadDb, scope: Writer) -> Response:
    """Show the form to replace an unavailable main admin."""
    return await _show_form(request, db, scope, "recoveries", Form([]))


@router.post("/recoveries")
async def request_recovery(request: Request, db: WriteDb, scope: Writer, form: PageForm) -> Response:
    """Request that an unavailable main admin be replaced (S4)."""
    body: Any = validate_fields(RecoveryCreate, {"kind": "recovery", **form.get_filled("main_admin_id", "reason")})
    return await _request_change(request, db, scope, "recoveries", form, body)


@add_confirmation_routes(router, "/change-requests/{request_id}/withdrawal")
async def confirm_withdrawal(request: Request, db: ReadableDb, scope: Writer, request_id: RequestId) -> Confirmation:
    """Withdraw a request. The user types the new name, or the name of the new main admin, to confirm."""
    change: ChangeRequestOut = await get_change_request(db, scope.org_id, request_id)
    if change.org_id != scope.org_id:
        raise NotFound
    name = change.name_after or (change.main_admin_after and change.main_admin_after.name) or change.org_name
    return Confirmation(
        title=gettext("撤回“{name}”的申请", name=name),
        explanation=gettext("撤回后一切保持不变；需要时可以重新申请。"),
        button=gettext("撤回"),
        operation=lambda db, _: withdraw_change_request(db, scope, request_id),
        message=gettext("申请已撤回"),
        name=name,
    )


@add_confirmation_routes(router, "/closure")
async def confirm_closing(request: Request, db: ReadableDb, scope: Closer) -> Confirmation:
    """Ask for confirmation of the closing of the org. The user types the org's name to confirm.

    If the main admin confirms, the org is closed. If an admin who is not the main admin confirms, a request to close
    the org is sent to the main admin.
    """
    if Role.MAIN_ADMIN in scope.roles:
        return Confirmation(
            title=gettext("关闭本组织"),
            explanation=gettext(
                "本组织与上级脱离，待处理的邀请和申请全部终止，历史记录仍可查看。关闭后 7 天内可以恢复。"
                "还有下级组织时不能关闭。"
            ),
            button=gettext("关闭本组织"),
            operation=lambda db, _: request_closing(db, scope, None),
            message=gettext("“{name}”已关闭，7 天内可以在本页恢复", name=scope.org.name),
            name=scope.org.name,
        )
    return Confirmation(
        title=gettext("申请关闭本组织"),
        explanation=gettext("主管理员同意后，本组织才关闭；30 天内没有答复的，申请失效。还有下级组织时不能申请。"),
        button=gettext("提交申请"),
        operation=lambda db, _: request_closing(db, scope, None),
        message=gettext("申请已提交，请等待主管理员同意"),
        name=scope.org.name,
    )


@add_confirmation_routes(router, "/closure/withdrawal")
async def take_back_closing_request(request: Request, db: ReadableDb, scope: Reopener) -> Confirmation:
    """Ask for confirmation of the end of the request to close the org: an admin withdraws it, the main admin declines
    it."""
    is_main_admin = Role.MAIN_ADMIN in scope.roles
    return Confirmation(
        title=gettext("不同意关闭本组织") if is_main_admin else gettext("撤回关闭申请"),
        explanation=gettext("本组织一切保持不变；需要时可以重新申请。"),
        button=gettext("不同意") if is_main_admin else gettext("撤回"),
        operation=lambda db, _: take_back_closing(db, scope, None),
        message=gettext("已拒绝关闭申请") if is_main_admin else gettext("申请已撤回"),
        danger=False,
    )


@add_confirmation_routes(router, "/reopening")
async def confirm_reopening(request: Request, db: ReadableDb, scope: Reopener) -> Confirmation:
    """Open the closed org again."""
    return Confirmation(
        title=gettext("恢复本组织"),
        explanation=gettext(
            "本组织重新开放，并回到原上级；原上级已关闭或已有同名下级的，恢复后没有上级。已终止的邀请和申请不会恢复。"
        ),
        button=gettext("恢复本组织"),
        operation=lambda db, _: take_back_closing(db, scope, None),
        message=gettext("“{name}”已恢复", name=scope.org.name),
        danger=False,
    )


async def _request_change(request: Request, db: WriteDb, scope: OrgScope, act: str, form: Form, body: Any) -> Response:
    if act != "renames" and not form.get("main_admin_id"):
        body = validate_fields(HandOverCreate, {"kind": "hand-over"})
    outcome = body
    if not isinstance(body, ValidationError):
        outcome = await catch_problem(db, create_change_request(db, scope, body))
    if isinstance(outcome, ValidationError | Problem):
        return await _show_form(request, db, scope, act, form, outcome)
    created = await get_change_request(db, scope.org_id, outcome)
    return show_message(
        request, gettext("已生效") if created.state is State.ACCEPTED else gettext("申请已提交"), PAGE_CHANGED
    )


async def _show_form(
    request: Request, db: Readable, scope: OrgScope, act: str, form: Form, outcome: Outcome = None
) -> Response:
    frame, superior = build_org_frame(scope, "settings"), await _find_superior(db, scope)
    if act == "renames":
        return render_part(request, RenameForm(frame=frame, form=form, outcome=outcome, superior=superior))
    others = [admin for admin in await queries.list_admins(db, scope.org_id) if not admin.main]
    dialog = SuccessorForm(frame=frame, form=form, outcome=outcome, superior=superior, act=act, others=others)
    return render_part(request, dialog)


async def _find_superior(db: Readable, scope: OrgScope) -> SuperiorOut | None:
    superiors = await list_superiors(db, scope.org_id) if scope.org.superior_id else []
    return superiors[0] if superiors else None
