"""What an org asks of its superior (设置, S4, S5): a new name, a new main admin; and closing the org."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.admins import queries
from app.admins.change_requests import create_change_request, withdraw_change_request
from app.admins.schemas import ChangeRequestOut, HandOverCreate, RecoveryCreate, RenameCreate
from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.certification.queries import list_superiors
from app.console.frame.confirmations import PAGE_CHANGED, Confirmation, confirmed
from app.console.frame.forms import Form, Outcome, PageForm, checked, refusal_of, show_form
from app.console.frame.notices import done
from app.console.frame.route import ConsoleRoute
from app.console.frame.standing import in_org
from app.console.frame.templates import page
from app.core.i18n import gettext
from app.database.db import Readable, ReadableDb, ReadDb, WriteDb
from app.database.paging import Paging, paged_by
from app.org_lifecycle.closure import close_org
from app.schema.approvals import State
from app.web.errors import NotFound, Problem

router = APIRouter(prefix="/console/orgs/{org_id}/settings", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.CHANGES_READ)]
Writer = Annotated[OrgScope, Can(Permission.CHANGES_WRITE)]
Closer = Annotated[OrgScope, Can(Permission.ORG_WRITE)]
RequestId = Annotated[UUID, Path()]


@router.get("")
async def show_settings(
    request: Request, db: ReadDb, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """The org's card, what it has asked for, and how to close it."""
    requests = await queries.list_change_requests(db, scope.org_id, paging)
    admins = await queries.list_admins(db, scope.org_id)
    shown: dict[str, Any] = {
        **await _standing(db, scope),
        "main": next(admin for admin in admins if admin.main),
        "waiting": [one for one in requests.items if one.state is State.PENDING],
        "past": [one for one in requests.items if one.state is not State.PENDING],
        "cursor": requests.next_cursor,
    }
    return page(request, "settings/org.html", **shown)


@router.get("/renames/new")
async def show_rename(request: Request, db: ReadDb, scope: Writer) -> Response:
    """The form of a new name."""
    return await _show_form(request, db, scope, "renames", Form([]))


@router.post("/renames")
async def ask_rename(request: Request, db: WriteDb, scope: Writer, form: PageForm) -> Response:
    """Asks for another name; without a superior the org has it at once (S5)."""
    body = checked(RenameCreate, {"kind": "rename", "name": form.get("new_name", ""), **form.given("reason")})
    return await _ask(request, db, scope, "renames", form, body)


@router.get("/hand-overs/new")
async def show_hand_over(request: Request, db: ReadDb, scope: Writer) -> Response:
    """To whom the main admin hands over."""
    return await _show_form(request, db, scope, "hand-overs", Form([]))


@router.post("/hand-overs")
async def ask_hand_over(request: Request, db: WriteDb, scope: Writer, form: PageForm) -> Response:
    """Asks that another admin be the main one; only the main admin does."""
    body = checked(HandOverCreate, {"kind": "hand-over", **form.given("main_admin_id", "reason")})
    return await _ask(request, db, scope, "hand-overs", form, body)


@router.get("/recoveries/new")
async def show_recovery(request: Request, db: ReadDb, scope: Writer) -> Response:
    """Who is to follow a main admin who is gone."""
    return await _show_form(request, db, scope, "recoveries", Form([]))


@router.post("/recoveries")
async def ask_recovery(request: Request, db: WriteDb, scope: Writer, form: PageForm) -> Response:
    """Asks that a main admin who is gone be replaced (S4)."""
    body: Any = checked(RecoveryCreate, {"kind": "recovery", **form.given("main_admin_id", "reason")})
    return await _ask(request, db, scope, "recoveries", form, body)


@confirmed(router, "/change-requests/{request_id}/withdrawal")
async def withdraw(request: Request, db: ReadableDb, scope: Writer, request_id: RequestId) -> Confirmation:
    """Takes back what the org asked: the new name is typed, or the name of who was to be main admin."""
    one: ChangeRequestOut = await queries.get_change_request(db, scope.org_id, request_id)
    if one.org_id != scope.org_id:
        raise NotFound
    name = one.name_after or (one.main_admin_after and one.main_admin_after.name) or one.org_name
    return Confirmation(
        title=gettext("撤回“{name}”的申请", name=name),
        says=gettext("撤回后一切保持不变；需要时可以重新申请。"),
        button=gettext("撤回"),
        act=lambda db, _: withdraw_change_request(db, scope, request_id),
        said=gettext("申请已撤回"),
        name=name,
    )


@confirmed(router, "/closure")
async def close(request: Request, db: ReadableDb, scope: Closer) -> Confirmation:
    """Closes the org for good, its name having been typed."""
    return Confirmation(
        title=gettext("关闭本组织"),
        says=gettext(
            "关闭后不能恢复：本组织与上级脱离，待处理的邀请和申请全部终止，历史记录仍可查看。还有下级组织时不能关闭。"
        ),
        button=gettext("关闭本组织"),
        act=lambda db, _: close_org(db, scope, None),
        said=gettext("“{name}”已关闭", name=scope.org.name),
        name=scope.org.name,
    )


_FORMS: dict[str, str] = {
    "renames": "settings/rename.html",
    "hand-overs": "settings/successor.html",
    "recoveries": "settings/successor.html",
}


async def _ask(request: Request, db: WriteDb, scope: OrgScope, act: str, form: Form, body: Any) -> Response:
    if act != "renames" and not form.get("main_admin_id"):
        body = checked(HandOverCreate, {"kind": "hand-over"})
    outcome = body
    if not isinstance(body, ValidationError):
        outcome = await refusal_of(db, create_change_request(db, scope, body))
    if isinstance(outcome, ValidationError | Problem):
        return await _show_form(request, db, scope, act, form, outcome)
    made = await queries.get_change_request(db, scope.org_id, outcome)
    return done(request, gettext("已生效") if made.state is State.ACCEPTED else gettext("申请已提交"), PAGE_CHANGED)


async def _show_form(
    request: Request, db: Readable, scope: OrgScope, act: str, form: Form, outcome: Outcome = None
) -> Response:
    admins = [] if act == "renames" else await queries.list_admins(db, scope.org_id)
    shown = {**await _standing(db, scope), "act": act, "others": [admin for admin in admins if not admin.main]}
    return show_form(request, _FORMS[act], form, outcome, **shown)


async def _standing(db: Readable, scope: OrgScope) -> dict[str, Any]:
    above = await list_superiors(db, scope.org_id) if scope.org.superior_id else []
    return {**in_org(scope, "settings"), "superior": above[0] if above else None}
