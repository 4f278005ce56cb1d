"""An org goes to another superior with all below it (认证, S20): asked, released, accepted, refused, withdrawn."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission, Role
from app.certification import transfer_queries
from app.certification import transfer_router as calls
from app.certification.schemas import TransferDecision, TransferDetailOut
from app.certification.transfers import accept_transfer, refuse_transfer, release_transfer, withdraw_transfer
from app.console.certification.superiors import send, show_direction, show_link_form
from app.console.frame.confirmations import PAGE_CHANGED, Confirmation, confirmed
from app.console.frame.forms import Form, Outcome, PageForm, checked, is_typed, refusal_of, show_form
from app.console.frame.notices import done
from app.console.frame.route import ConsoleRoute
from app.console.frame.standing import in_org
from app.console.frame.templates import page
from app.core.i18n import gettext
from app.database.db import Readable, ReadableDb, ReadDb, WriteDb
from app.database.paging import Paging, paged_by
from app.schema.approvals import State
from app.web.errors import NotFound, Problem

router = APIRouter(
    prefix="/console/orgs/{org_id}/certification/transfers", route_class=ConsoleRoute, include_in_schema=False
)

Reader = Annotated[OrgScope, Can(Permission.TRANSFERS_READ)]
Asker = Annotated[OrgScope, Can(Permission.TRANSFERS_ASK)]
Decider = Annotated[OrgScope, Can(Permission.TRANSFERS_DECIDE)]
TransferId = Annotated[UUID, Path()]
Act = Literal["release", "acceptance"]


@router.get("")
async def show_transfers(
    request: Request, db: ReadDb, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """The transfers of this org, those that leave it and those that arrive."""
    transfers = await transfer_queries.list_transfers(db, scope.org_id, paging)
    return page(request, "certification/transfers.html", **in_org(scope, "certification"), transfers=transfers)


@router.get("/new")
async def show_new_transfer(request: Request, db: ReadDb, scope: Asker) -> Response:
    """Where the new superior's invitation is put in."""
    return await show_link_form(request, db, scope, "transfers", Form([]))


@router.post("/check")
async def check_transfer(request: Request, db: WriteDb, scope: Asker, form: PageForm) -> Response:
    """Where the org would go, and what would go along."""
    return await show_direction(request, db, scope, "transfers", form)


@router.post("")
async def ask_transfer(request: Request, db: WriteDb, scope: Asker, form: PageForm) -> Response:
    """Asks for it."""
    return await send(request, db, scope, "transfers", form)


@router.get("/{transfer_id}")
async def show_transfer(request: Request, db: ReadDb, scope: Reader, transfer_id: TransferId) -> Response:
    """How far it is, what moves, and what this org can do about it."""
    one = await calls.read_transfer(request, scope, transfer_id, db)
    pending = one.state is State.PENDING
    shown = {
        **in_org(scope, "certification"),
        "one": one,
        "may_release": one.step == "release" and one.from_id == scope.org_id,
        "may_accept": one.step == "acceptance" and one.to_id == scope.org_id,
        "may_refuse": pending and scope.org_id in {one.from_id, one.to_id},
        "may_withdraw": pending and one.org_id == scope.org_id and Role.MAIN_ADMIN in scope.roles,
        "waits_for": _waits_for(request, scope, one),
    }
    return page(request, "certification/transfer.html", **shown)


def _waits_for(request: Request, scope: OrgScope, one: TransferDetailOut) -> str:
    waits = {"release": (one.from_id, one.from_name), "acceptance": (one.to_id, one.to_name)}.get(one.step or "")
    if waits is None or waits[0] == scope.org_id:
        return ""
    return gettext("等待“{name}”处理。", name=waits[1])


@confirmed(router, "/{transfer_id}/refusal")
async def refuse(request: Request, db: ReadableDb, scope: Decider, transfer_id: TransferId) -> Confirmation:
    """Refuses, as either superior, the org's name having been typed."""
    one = await transfer_queries.get_transfer(db, scope.org_id, transfer_id)
    if one.org_id == scope.org_id:
        raise NotFound
    return Confirmation(
        title=gettext("拒绝“{name}”的转移", name=one.org_name),
        says=gettext("“{name}”留在现在的上级之下。对方的管理员会看到理由，并可以重新申请。", name=one.org_name),
        button=gettext("拒绝"),
        act=lambda db, reason: refuse_transfer(db, scope, transfer_id, reason),
        said=gettext("已拒绝，理由已告知对方"),
        name=one.org_name,
        reason=gettext("拒绝的理由"),
    )


@confirmed(router, "/{transfer_id}/withdrawal")
async def withdraw(request: Request, db: ReadableDb, scope: Asker, transfer_id: TransferId) -> Confirmation:
    """Takes back what this org asked, the name of where it would have gone having been typed."""
    one = await transfer_queries.get_transfer(db, scope.org_id, transfer_id)
    if one.org_id != scope.org_id:
        raise NotFound
    return Confirmation(
        title=gettext("撤回转到“{name}”的申请", name=one.to_name),
        says=gettext("撤回后一切保持不变；需要时可以重新申请。"),
        button=gettext("撤回"),
        act=lambda db, _: withdraw_transfer(db, scope, transfer_id),
        said=gettext("申请已撤回"),
        name=one.to_name,
    )


@router.get("/{transfer_id}/{act}")
async def show_decision(request: Request, db: ReadDb, scope: Decider, transfer_id: TransferId, act: Act) -> Response:
    """What moves, read once more before it is let go or taken in."""
    return await _show_decision(request, db, scope, transfer_id, act, Form([]))


@router.post("/{transfer_id}/{act}")
async def decide(
    request: Request, db: WriteDb, scope: Decider, transfer_id: TransferId, act: Act, form: PageForm
) -> Response:
    """Lets the org go, or takes it in, on the strength of the preview that was shown."""
    one = await transfer_queries.get_transfer(db, scope.org_id, transfer_id)
    body = checked(TransferDecision, {"preview": form.get("preview", "")})
    if isinstance(body, ValidationError) or not is_typed(one.org_name, form):
        return await _show_decision(request, db, scope, transfer_id, act, form, {"name"})
    doing = release_transfer if act == "release" else accept_transfer
    outcome = await refusal_of(db, doing(db, scope, transfer_id, body.preview))
    if isinstance(outcome, Problem):
        return await _show_decision(request, db, scope, transfer_id, act, form, outcome)
    said = gettext("已同意转出，等待新上级接收") if act == "release" else gettext("“{name}”已转入", name=one.org_name)
    return done(request, said, PAGE_CHANGED)


async def _show_decision(
    request: Request,
    db: Readable,
    scope: OrgScope,
    transfer_id: UUID,
    act: Act,
    form: Form,
    outcome: Outcome = None,
) -> Response:
    one = await calls.read_transfer(request, scope, transfer_id, db)
    if scope.org_id != (one.from_id if act == "release" else one.to_id):
        raise NotFound
    shown = {**in_org(scope, "certification"), "one": one, "act": act}
    return show_form(request, "certification/transfer_decision.html", form, outcome, **shown)
