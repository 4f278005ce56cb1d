"""Transfers of people between orgs, with the consent of both sides (S20): request, accept, refuse, withdraw."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.directory.pickers import UnitPicker, load_picker
from app.console.frame.confirmations import PAGE_CHANGED, Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import Form, FormContext, Outcome, PageForm, catch_problem, validate_fields
from app.console.frame.notices import show_message
from app.console.frame.regions import RegionChoices, find_region_choices
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page, render_part
from app.core.cipher import Cipher, CipherDep
from app.core.i18n import gettext
from app.database.db import Readable, ReadableDb, ReadDb, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.group_transfers.queries import list_group_transfers
from app.members.group_transfers.schemas import GroupTransferOut
from app.members.queries import get_member
from app.members.schemas import MemberOut
from app.members.transfers import operations, queries
from app.members.transfers.errors import PersonTransferDecided
from app.members.transfers.schemas import PersonTransferAcceptance, PersonTransferCreate, PersonTransferOut
from app.web.errors import NotFound, Problem

router = APIRouter(prefix="/console/orgs/{org_id}", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]
TransferId = Annotated[UUID, Path()]
MemberId = Annotated[UUID, Path()]


class PersonTransfersPage(FrameContext, template="directory/person_transfers.html"):
    transfers: Page[PersonTransferOut]
    groups: Page[GroupTransferOut]


class NewPersonTransfer(FormContext, FrameContext, template="directory/new_person_transfer.html"):
    member: MemberOut
    region_choices: RegionChoices


class PersonTransferForm(FormContext, FrameContext, template="directory/person_transfer_acceptance.html"):
    transfer: PersonTransferOut
    picker: UnitPicker


@router.get("/person-transfers")
async def show_person_transfers(
    request: Request, db: ReadDb, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show the transfers of people out of the org and into it, pending and past."""
    transfers = await queries.list_person_transfers(db, scope.org_id, paging, None)
    frame = build_org_frame(scope, "person-transfers")
    groups = await list_group_transfers(db, scope.org_id, Paging(paging.limit, None), None)
    return render_page(request, PersonTransfersPage(frame=frame, transfers=transfers, groups=groups))


@router.get("/regions")
async def find_regions(
    request: Request,
    scope: Writer,
    region: Annotated[str, Query(max_length=50)] = "",
    after: Annotated[str, Query(max_length=12)] = "",
) -> Response:
    """Show the regions that match the typed text, after the one with the code `after`."""
    return render_part(request, find_region_choices(request.url.path, region, after=after))


@router.get("/members/{member_id}/transfers/new")
async def show_new_transfer(
    request: Request, db: ReadDb, cipher: CipherDep, scope: Writer, member_id: MemberId
) -> Response:
    """Show the form for the target org: its full name and region."""
    return await _show_form(request, db, cipher, scope, member_id, Form([]))


@router.post("/members/{member_id}/transfers")
async def request_transfer(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, member_id: MemberId, form: PageForm
) -> Response:
    """Request that the other org accept the person."""
    body = validate_fields(PersonTransferCreate, form.get_filled("org_name", "region_code"))
    if isinstance(body, ValidationError):
        return await _show_form(request, db, cipher, scope, member_id, form, body)
    outcome = await catch_problem(db, operations.create_person_transfer(db, scope, member_id, body))
    if isinstance(outcome, Problem):
        return await _show_form(request, db, cipher, scope, member_id, form, outcome)
    return show_message(request, gettext("已提出，等待对方接受"), PAGE_CHANGED)


@router.get("/person-transfers/{transfer_id}/acceptance")
async def show_acceptance_form(request: Request, db: ReadDb, scope: Writer, transfer_id: TransferId) -> Response:
    """Show the form for the person's new units."""
    return await _show_acceptance_form(request, db, scope, transfer_id, Form([]))


@router.post("/person-transfers/{transfer_id}/acceptance")
async def confirm_acceptance(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, transfer_id: TransferId, form: PageForm
) -> Response:
    """Accept the transfer: the person moves into the chosen units of this org."""
    body = validate_fields(PersonTransferAcceptance, {"unit_ids": form.get_all("unit_id")})
    if isinstance(body, ValidationError):
        raise NotFound
    accepting = operations.accept_person_transfer(db, cipher, scope, transfer_id, body.unit_ids)
    outcome = await catch_problem(db, accepting)
    if isinstance(outcome, Problem):
        return await _show_acceptance_form(request, db, scope, transfer_id, form, outcome)
    return show_message(request, gettext("已接收，此人已列入本组织通讯录"), PAGE_CHANGED)


@add_confirmation_routes(router, "/person-transfers/{transfer_id}/refusal")
async def confirm_refusal(request: Request, db: ReadableDb, scope: Writer, transfer_id: TransferId) -> Confirmation:
    """Refuse the transfer, with a reason that the other org's admins can read. The user types the person's name to
    confirm."""
    name = await _get_waiting_name(db, scope, transfer_id, "in")
    return Confirmation(
        title=gettext("拒绝接收 {name}", name=name),
        explanation=gettext("此人留在原来的组织。对方的管理员会看到理由，并可以重新申请。"),
        button=gettext("拒绝"),
        operation=lambda db, reason: operations.refuse_person_transfer(db, scope, transfer_id, reason),
        message=gettext("已拒绝，理由已告知对方"),
        name=name,
        reason=gettext("拒绝的理由"),
    )


@add_confirmation_routes(router, "/person-transfers/{transfer_id}/withdrawal")
async def confirm_withdrawal(request: Request, db: ReadableDb, scope: Writer, transfer_id: TransferId) -> Confirmation:
    """Withdraw the transfer that this org has requested. The user types the person's name to confirm."""
    name = await _get_waiting_name(db, scope, transfer_id, "out")
    return Confirmation(
        title=gettext("撤回 {name} 的转移申请", name=name),
        explanation=gettext("撤回后一切保持不变；需要时可以重新申请。"),
        button=gettext("撤回"),
        operation=lambda db, _: operations.withdraw_person_transfer(db, scope, transfer_id),
        message=gettext("申请已撤回"),
        name=name,
    )


async def _get_transfer(db: Readable, scope: OrgScope, transfer_id: UUID, direction: str) -> PersonTransferOut:
    transfer = await queries.get_person_transfer(db, scope.org_id, transfer_id)
    if transfer.direction != direction:
        raise NotFound
    return transfer


async def _get_waiting_name(db: Readable, scope: OrgScope, transfer_id: UUID, direction: str) -> str:
    """Return the person's name.

    Raises NotFound, and PersonTransferDecided because the name is visible only while the transfer is pending.
    """
    transfer = await _get_transfer(db, scope, transfer_id, direction)
    if transfer.name is None:
        raise PersonTransferDecided
    return transfer.name


async def _show_form(
    request: Request,
    db: Readable,
    cipher: Cipher,
    scope: OrgScope,
    member_id: UUID,
    form: Form,
    outcome: Outcome = None,
) -> Response:
    dialog = NewPersonTransfer(
        frame=build_org_frame(scope, "members"),
        form=form,
        outcome=outcome,
        member=await get_member(db, cipher, scope.org_id, member_id),
        region_choices=find_region_choices(
            f"/console/orgs/{scope.org_id}/regions", form.get("region", ""), form.get("region_code", "")
        ),
    )
    return render_part(request, dialog)


async def _show_acceptance_form(
    request: Request, db: Readable, scope: OrgScope, transfer_id: UUID, form: Form, outcome: Outcome = None
) -> Response:
    transfer = await _get_transfer(db, scope, transfer_id, "in")
    picker = await load_picker(db, scope.org_id, form.get_all("unit_id"))
    frame = build_org_frame(scope, "person-transfers")
    return render_part(
        request, PersonTransferForm(frame=frame, form=form, outcome=outcome, transfer=transfer, picker=picker)
    )
