"""Mergers: an org merges into another org (认证, S20): request, accept, refuse, withdraw."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission, Role
from app.console.directory.pickers import UnitPicker, load_picker
from app.console.frame.confirmations import PAGE_CHANGED, Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import Form, FormContext, Outcome, PageForm, catch_problem, is_name_typed, validate_fields
from app.console.frame.notices import show_message
from app.console.frame.regions import RegionChoices, find_region_choices
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page, render_part
from app.core.cipher import CipherDep
from app.core.i18n import gettext
from app.core.services import SETTINGS
from app.database.db import Readable, ReadableDb, ReadDb, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.mergers import operations, queries
from app.mergers.schemas import MergerAcceptance, MergerCreate, MergerDetailOut, MergerOut
from app.schema.approvals import State
from app.web.errors import NotFound, Problem

router = APIRouter(
    prefix="/console/orgs/{org_id}/certification/mergers", route_class=ConsoleRoute, include_in_schema=False
)

Reader = Annotated[OrgScope, Can(Permission.TRANSFERS_READ)]
Requester = Annotated[OrgScope, Can(Permission.TRANSFERS_ASK)]
Decider = Annotated[OrgScope, Can(Permission.TRANSFERS_DECIDE)]
MergerId = Annotated[UUID, Path()]


class MergersPage(FrameContext, template="certification/mergers.html"):
    mergers: Page[MergerOut]


class MergerPage(FrameContext, template="certification/merger.html"):
    merger: MergerDetailOut
    may_decide: bool
    may_withdraw: bool


class NewMerger(FormContext, FrameContext, template="certification/new_merger.html"):
    region_choices: RegionChoices


class MergerAcceptanceForm(FormContext, FrameContext, template="certification/merger_acceptance.html"):
    merger: MergerDetailOut
    picker: UnitPicker


@router.get("")
async def show_mergers(
    request: Request, db: ReadDb, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show the mergers that this org asks for and those into it, newest first."""
    mergers = await queries.list_mergers(db, scope.org_id, paging)
    return render_page(request, MergersPage(frame=build_org_frame(scope, "certification"), mergers=mergers))


@router.get("/new")
async def show_new_merger(request: Request, scope: Requester) -> Response:
    """Show the form for the receiving org: its full name and region."""
    return _show_form(request, scope, Form([]))


@router.post("")
async def submit_merger(request: Request, db: WriteDb, scope: Requester, form: PageForm) -> Response:
    """Ask the other org to take this one in."""
    body = validate_fields(MergerCreate, form.get_filled("org_name", "region_code"))
    if isinstance(body, ValidationError):
        return _show_form(request, scope, form, body)
    outcome = await catch_problem(db, operations.create_merger(db, scope, body))
    if isinstance(outcome, Problem):
        return _show_form(request, scope, form, outcome)
    return show_message(request, gettext("已提出，等待对方接受"), PAGE_CHANGED)


@router.get("/{merger_id}")
async def show_merger(request: Request, db: ReadDb, scope: Reader, merger_id: MergerId) -> Response:
    """Show the merger's state, what comes, and the actions open to this org."""
    merger = await _get_merger(request, db, scope, merger_id)
    pending = merger.state is State.PENDING
    page = MergerPage(
        frame=build_org_frame(scope, "certification"),
        merger=merger,
        may_decide=pending and merger.to_id == scope.org_id,
        may_withdraw=pending and merger.org_id == scope.org_id and Role.MAIN_ADMIN in scope.roles,
    )
    return render_page(request, page)


@router.get("/{merger_id}/acceptance")
async def show_acceptance_form(request: Request, db: ReadDb, scope: Decider, merger_id: MergerId) -> Response:
    """Show what comes and the form for its place."""
    return await _show_acceptance_form(request, db, scope, merger_id, Form([]))


@router.post("/{merger_id}/acceptance")
async def confirm_acceptance(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Decider, merger_id: MergerId, form: PageForm
) -> Response:
    """Take the other org in. The user types its name to confirm."""
    merger = await _get_merger(request, db, scope, merger_id)
    fields: dict[str, Any] = form.get_filled("preview", "unit_id")
    if new_unit := form.get("new_unit", "").strip():
        fields["new_unit"] = {"name": new_unit, **form.get_filled("kind")}
    body = validate_fields(MergerAcceptance, fields)
    if isinstance(body, ValidationError):
        return await _show_acceptance_form(request, db, scope, merger_id, form, body)
    if not is_name_typed(merger.org_name, form):
        return await _show_acceptance_form(request, db, scope, merger_id, form, {"name"})
    outcome = await catch_problem(db, operations.accept_merger(db, cipher, scope, merger_id, body))
    if isinstance(outcome, Problem):
        return await _show_acceptance_form(request, db, scope, merger_id, form, outcome)
    return show_message(request, gettext("“{name}”已并入", name=merger.org_name), PAGE_CHANGED)


@add_confirmation_routes(router, "/{merger_id}/refusal")
async def confirm_refusal(request: Request, db: ReadableDb, scope: Decider, merger_id: MergerId) -> Confirmation:
    """Refuse the merger. The user types the org's name to confirm."""
    merger = await _get_merger(request, db, scope, merger_id)
    if merger.to_id != scope.org_id:
        raise NotFound
    return Confirmation(
        title=gettext("拒绝“{name}”并入", name=merger.org_name),
        explanation=gettext("“{name}”保持不变。对方的管理员会看到理由，并可以重新申请。", name=merger.org_name),
        button=gettext("拒绝"),
        operation=lambda db, reason: operations.refuse_merger(db, scope, merger_id, reason),
        message=gettext("已拒绝，理由已告知对方"),
        name=merger.org_name,
        reason=gettext("拒绝的理由"),
    )


@add_confirmation_routes(router, "/{merger_id}/withdrawal")
async def confirm_withdrawal(request: Request, db: ReadableDb, scope: Requester, merger_id: MergerId) -> Confirmation:
    """Withdraw this org's request. The user types the receiving org's name to confirm."""
    merger = await _get_merger(request, db, scope, merger_id)
    if merger.org_id != scope.org_id:
        raise NotFound
    return Confirmation(
        title=gettext("撤回并入“{name}”的申请", name=merger.to_name),
        explanation=gettext("撤回后一切保持不变；需要时可以重新申请。"),
        button=gettext("撤回"),
        operation=lambda db, _: operations.withdraw_merger(db, scope, merger_id),
        message=gettext("申请已撤回"),
        name=merger.to_name,
    )


async def _get_merger(request: Request, db: Readable, scope: OrgScope, merger_id: UUID) -> MergerDetailOut:
    return await queries.get_merger(db, scope.org_id, merger_id, suppress_below=SETTINGS.get(request).withhold_below)


def _show_form(request: Request, scope: OrgScope, form: Form, outcome: Outcome = None) -> Response:
    choices = find_region_choices(
        f"/console/orgs/{scope.org_id}/regions", form.get("region", ""), form.get("region_code", "")
    )
    frame = build_org_frame(scope, "certification")
    return render_part(request, NewMerger(frame=frame, form=form, outcome=outcome, region_choices=choices))


async def _show_acceptance_form(
    request: Request, db: Readable, scope: OrgScope, merger_id: UUID, form: Form, outcome: Outcome = None
) -> Response:
    merger = await _get_merger(request, db, scope, merger_id)
    if merger.to_id != scope.org_id:
        raise NotFound
    picker = await load_picker(db, scope.org_id, form.get_all("unit_id"), kind="radio")
    frame = build_org_frame(scope, "certification")
    return render_part(
        request, MergerAcceptanceForm(frame=frame, form=form, outcome=outcome, merger=merger, picker=picker)
    )
