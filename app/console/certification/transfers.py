"""Transfers of an org with its subtree to another superior (认证, S20): request, release, accept, refuse, withdraw."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission, Role
from app.certification import transfer_queries
from app.certification.schemas import TransferDecision, TransferDetailOut, TransferOut
from app.certification.transfers import accept_transfer, refuse_transfer, release_org_to_new_superior, withdraw_transfer
from app.console.certification.superiors import send_request, show_direction, show_link_form
from app.console.frame.confirmations import PAGE_CHANGED, Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import Form, FormContext, Outcome, PageForm, catch_problem, is_name_typed, validate_fields
from app.console.frame.notices import show_message
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page, render_part
from app.core.i18n import gettext
from app.core.services import SETTINGS
from app.database.db import Readable, ReadableDb, ReadDb, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.schema.approvals import State
from app.web.errors import NotFound, Problem

router = APIRouter(
    prefix="/console/orgs/{org_id}/certification/transfers", route_class=ConsoleRoute, include_in_schema=False
)

Reader = Annotated[OrgScope, Can(Permission.TRANSFERS_READ)]
Requester = Annotated[OrgScope, Can(Permission.TRANSFERS_ASK)]
Decider = Annotated[OrgScope, Can(Permission.TRANSFERS_DECIDE)]
TransferId = Annotated[UUID, Path()]
Act = Literal["release", "acceptance"]


class TransfersPage(FrameContext, template="certification/transfers.html"):
    transfers: Page[TransferOut]


class TransferPage(FrameContext, template="certification/transfer.html"):
    transfer: TransferDetailOut
    may_release: bool
    may_accept: bool
    may_refuse: bool
    may_withdraw: bool
    waits_for: str
    """The org that decides next, as a sentence; empty if it is this org."""


class TransferDecisionForm(FormContext, FrameContext, template="certification/transfer_decision.html"):
    transfer: TransferDetailOut
    act: Act


@router.get("")
async def show_transfers(
    request: Request, db: ReadDb, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show the transfers that this org requests, releases or receives."""
    transfers = await transfer_queries.list_transfers(db, scope.org_id, paging)
    return render_page(request, TransfersPage(frame=build_org_frame(scope, "certification"), transfers=transfers))


@router.get("/new")
async def show_new_transfer(request: Request, db: ReadDb, scope: Requester) -> Response:
    """Show the form for the new superior's invitation."""
    return await show_link_form(request, db, scope, "transfers", Form([]))


@router.post("/check")
async def check_transfer(request: Request, db: WriteDb, scope: Requester, form: PageForm) -> Response:
    """Show the new superior and what moves with the org."""
    return await show_direction(request, db, scope, "transfers", form)


@router.post("")
async def request_transfer(request: Request, db: WriteDb, scope: Requester, form: PageForm) -> Response:
    """Request the transfer."""
    return await send_request(request, db, scope, "transfers", form)


@router.get("/{transfer_id}")
async def show_transfer(request: Request, db: ReadDb, scope: Reader, transfer_id: TransferId) -> Response:
    """Show the transfer's state, what moves, and the actions open to this org."""
    transfer = await _get_transfer(request, db, scope, transfer_id)
    pending = transfer.state is State.PENDING
    page = TransferPage(
        frame=build_org_frame(scope, "certification"),
        transfer=transfer,
        may_release=transfer.step == "release" and transfer.from_id == scope.org_id,
        may_accept=transfer.step == "acceptance" and transfer.to_id == scope.org_id,
        may_refuse=pending and scope.org_id in {transfer.from_id, transfer.to_id},
        may_withdraw=pending and transfer.org_id == scope.org_id and Role.MAIN_ADMIN in scope.roles,
        waits_for=_describe_wait(scope, transfer),
    )
    return render_page(request, page)


async def _get_transfer(request: Request, db: Readable, scope: OrgScope, transfer_id: UUID) -> TransferDetailOut:
    suppress_below = SETTINGS.get(request).withhold_below
    return await transfer_queries.get_transfer(db, scope, transfer_id, suppress_below=suppress_below)


def _describe_wait(scope: OrgScope, transfer: TransferDetailOut) -> str:
    waits = {"release": (transfer.from_id, transfer.from_name), "acceptance": (transfer.to_id, transfer.to_name)}.get(
        transfer.step or ""
    )
    if waits is None or waits[0] == scope.org_id:
        return ""
    return gettext("等待“{name}”处理。", name=waits[1])


@add_confirmation_routes(router, "/{transfer_id}/refusal")
async def confirm_refusal(request: Request, db: ReadableDb, scope: Decider, transfer_id: TransferId) -> Confirmation:
    """Refuse the transfer, as an admin of the present or of the new superior. The user types the org's name to
    confirm."""
    transfer = await _get_transfer(request, db, scope, transfer_id)
    if transfer.org_id == scope.org_id:
        raise NotFound
    return Confirmation(
        title=gettext("拒绝“{name}”的转移", name=transfer.org_name),
        explanation=gettext(
            "“{name}”留在现在的上级之下。对方的管理员会看到理由，并可以重新申请。", name=transfer.org_name
        ),
        button=gettext("拒绝"),
        operation=lambda db, reason: refuse_transfer(db, scope, transfer_id, reason),
        message=gettext("已拒绝，理由已告知对方"),
        name=transfer.org_name,
        reason=gettext("拒绝的理由"),
    )


@add_confirmation_routes(router, "/{transfer_id}/withdrawal")
async def confirm_withdrawal(
    request: Request, db: ReadableDb, scope: Requester, transfer_id: TransferId
) -> Confirmation:
    """Withdraw the transfer that this org has requested. The user types the new superior's name to confirm."""
    transfer = await _get_transfer(request, db, scope, transfer_id)
    if transfer.org_id != scope.org_id:
        raise NotFound
    return Confirmation(
        title=gettext("撤回转到“{name}”的申请", name=transfer.to_name),
        explanation=gettext("撤回后一切保持不变；需要时可以重新申请。"),
        button=gettext("撤回"),
        operation=lambda db, _: withdraw_transfer(db, scope, transfer_id),
        message=gettext("申请已撤回"),
        name=transfer.to_name,
    )


@router.get("/{transfer_id}/{act}")
async def show_decision(request: Request, db: ReadDb, scope: Decider, transfer_id: TransferId, act: Act) -> Response:
    """Show what moves, before the user releases or accepts the org."""
    return await _show_decision(request, db, scope, transfer_id, act, Form([]))


@router.post("/{transfer_id}/{act}")
async def submit_decision(
    request: Request, db: WriteDb, scope: Decider, transfer_id: TransferId, act: Act, form: PageForm
) -> Response:
    """Release or accept the org. The form's preview must still equal the current figures."""
    transfer = await _get_transfer(request, db, scope, transfer_id)
    body = validate_fields(TransferDecision, {"preview": form.get("preview", "")})
    if isinstance(body, ValidationError) or not is_name_typed(transfer.org_name, form):
        return await _show_decision(request, db, scope, transfer_id, act, form, {"name"})
    operation = release_org_to_new_superior if act == "release" else accept_transfer
    outcome = await catch_problem(db, operation(db, scope, transfer_id, body.preview))
    if isinstance(outcome, Problem):
        return await _show_decision(request, db, scope, transfer_id, act, form, outcome)
    message = (
        gettext("已同意转出，等待新上级接收") if act == "release" else gettext("“{name}”已转入", name=transfer.org_name)
    )
    return show_message(request, message, PAGE_CHANGED)


async def _show_decision(
    request: Request,
    db: Readable,
    scope: OrgScope,
    transfer_id: UUID,
    act: Act,
    form: Form,
    outcome: Outcome = None,
) -> Response:
    transfer = await _get_transfer(request, db, scope, transfer_id)
    if scope.org_id != (transfer.from_id if act == "release" else transfer.to_id):
        raise NotFound
    frame = build_org_frame(scope, "certification")
    return render_part(
        request, TransferDecisionForm(frame=frame, form=form, outcome=outcome, transfer=transfer, act=act)
    )
