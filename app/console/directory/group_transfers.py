"""Transfers of several people between orgs (S20): choose them in the directory, preview, request, accept, refuse."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.directory.people import CHANGED
from app.console.directory.person_transfers import PersonTransfersPage
from app.console.directory.pickers import UnitPicker, load_picker
from app.console.frame.confirmations import PAGE_CHANGED, Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import Form, FormContext, Outcome, PageForm, catch_problem, read_ids, validate_fields
from app.console.frame.notices import show_message
from app.console.frame.regions import RegionChoices, find_region_choices
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page, render_part
from app.core.cipher import Cipher, CipherDep
from app.core.i18n import gettext, gettext_noop, ngettext
from app.database.db import Readable, ReadableDb, ReadDb, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.group_transfers import operations, queries
from app.members.group_transfers.errors import GroupTransferDecided
from app.members.group_transfers.schemas import (
    MAX_PEOPLE,
    GroupTransferAcceptance,
    GroupTransferCreate,
    GroupTransferOut,
    GroupTransferPersonOut,
    GroupTransferPreviewOut,
    Obstacle,
    PeopleSheetOut,
)
from app.members.group_transfers.sheets import MAX_SHEET_BYTES, match_sheet
from app.members.imports.schemas import RowPlaceOut
from app.members.imports.sheet_contents import describe_places
from app.members.imports.upload_form import read_file_form
from app.members.transfers.schemas import PersonTransferOut
from app.schema.approvals import State
from app.web.errors import Invalid, NotFound, Problem

router = APIRouter(prefix="/console/orgs/{org_id}/group-transfers", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]
TransferId = Annotated[UUID, Path()]

OBSTACLES: Mapping[str, str] = {
    Obstacle.UNKNOWN: gettext_noop("已不在本组织"),
    Obstacle.LEFT: gettext_noop("已离开原组织"),
    Obstacle.ADMIN: gettext_noop("是原组织的学习管理员"),
    Obstacle.NO_PARTY_MEMBER: gettext_noop("不是党员，不能转入党组织"),
    Obstacle.TRANSFER_OPEN: gettext_noop("已有等待处理的转移"),
    Obstacle.ALREADY_THERE: gettext_noop("已在本组织的通讯录中"),
    Obstacle.NOT_TAKEN: gettext_noop("对方没有接收"),
}
"""Why a person is not transferred, for the reader."""


def translate_obstacle(obstacle: Obstacle) -> str:
    """Return the obstacle as text for the reader."""
    return gettext(OBSTACLES[obstacle])


class NewGroupTransfer(FormContext, FrameContext, template="directory/new_group_transfer.html"):
    """The form for the receiving org; `preview` once it is known, before the request."""

    member_ids: Sequence[UUID]
    region_choices: RegionChoices
    preview: GroupTransferPreviewOut | None = None

    @property
    def excluded(self) -> Sequence[tuple[str, str]]:
        """Return the names of the people whom the request would not name, with the reasons."""
        if self.preview is None:
            return []
        return [(each.name or "—", translate_obstacle(each.obstacle)) for each in self.preview.excluded]


class PeopleOfSheet(FormContext, FrameContext, template="directory/people_of_sheet.html"):
    """The form for a sheet; `found` once it is read: the people it names, and its rows without a match."""

    found: PeopleSheetOut | None = None
    name_places: Callable[[Sequence[RowPlaceOut]], str] = describe_places


class GroupTransferPage(FrameContext, template="directory/group_transfer.html"):
    transfer: GroupTransferOut
    people: Page[GroupTransferPersonOut]
    translate_obstacle: Callable[[Obstacle], str]


class GroupAcceptanceForm(FormContext, FrameContext, template="directory/group_transfer_acceptance.html"):
    """`coming`: the number of people who would come now; `staying`: of those who would not, by reason."""

    transfer: GroupTransferOut
    picker: UnitPicker
    coming: int
    staying: Sequence[tuple[str, int]]


@router.get("/sheets")
async def show_sheet_form(request: Request, scope: Writer) -> Response:
    """Show the form for a sheet of people."""
    return render_part(request, PeopleOfSheet(frame=build_org_frame(scope, "person-transfers")))


@router.post("/sheets", max_body_size=MAX_SHEET_BYTES)
async def find_people_of_sheet(request: Request, scope: Writer, db: WriteDb, cipher: CipherDep) -> Response:
    """Show the people whom the sheet names, and why each other row has no match. Nothing changes."""
    outcome = await catch_problem(db, _match_sheet(request, db, cipher, scope))
    frame = build_org_frame(scope, "person-transfers")
    if isinstance(outcome, Problem):
        return render_part(request, PeopleOfSheet(frame=frame, outcome=outcome))
    return render_part(request, PeopleOfSheet(frame=frame, found=outcome))


@router.post("/new")
async def show_new_transfer(request: Request, db: WriteDb, scope: Writer, form: PageForm) -> Response:
    """Show the form for the org that the ticked people go to."""
    return _show_form(request, scope, Form([("member_id", each) for each in form.get_all("member_id")]))


@router.post("/previews")
async def preview_transfer(request: Request, db: WriteDb, scope: Writer, form: PageForm) -> Response:
    """Show who would be in the request, and who not and why."""
    body = _read_body(form)
    if isinstance(body, ValidationError):
        return _show_form(request, scope, form, body)
    outcome = await catch_problem(db, operations.preview_group_transfer(db, scope, body))
    if isinstance(outcome, Problem):
        return _show_form(request, scope, form, outcome)
    return _show_form(request, scope, form, preview=outcome)


@router.post("")
async def request_transfer(request: Request, db: WriteDb, scope: Writer, form: PageForm) -> Response:
    """Request that the other org accept the people."""
    body = _read_body(form)
    if isinstance(body, ValidationError):
        return _show_form(request, scope, form, body)
    outcome = await catch_problem(db, operations.create_group_transfer(db, scope, body))
    if isinstance(outcome, Problem):
        return _show_form(request, scope, form, outcome)
    return show_message(request, gettext("已提出，等待对方接受"), CHANGED)


@router.get("")
async def list_transfers(
    request: Request, db: ReadDb, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show more of the transfers of several people on the page of all transfers of people."""
    page = PersonTransfersPage(
        frame=build_org_frame(scope, "person-transfers"),
        transfers=Page[PersonTransferOut](items=[]),
        groups=await queries.list_group_transfers(db, scope.org_id, paging, None),
    )
    return render_page(request, page)


@router.get("/{transfer_id}")
async def show_transfer(
    request: Request, db: ReadDb, scope: Reader, transfer_id: TransferId, paging: Annotated[Paging, paged_by(int)]
) -> Response:
    """Show a transfer with its people."""
    page = GroupTransferPage(
        frame=build_org_frame(scope, "person-transfers"),
        transfer=await queries.get_group_transfer(db, scope.org_id, transfer_id),
        people=await queries.list_group_transfer_people(db, scope.org_id, transfer_id, paging),
        translate_obstacle=translate_obstacle,
    )
    return render_page(request, page)


@router.get("/{transfer_id}/acceptance")
async def show_acceptance_form(request: Request, db: ReadDb, scope: Writer, transfer_id: TransferId) -> Response:
    """Show the form for the units of these people."""
    return await _show_acceptance_form(request, db, scope, transfer_id, Form([]))


@router.post("/{transfer_id}/acceptance")
async def confirm_acceptance(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, transfer_id: TransferId, form: PageForm
) -> Response:
    """Accept the transfer: who can come moves into the chosen units of this org."""
    body = validate_fields(GroupTransferAcceptance, {"unit_ids": form.get_all("unit_id")})
    if isinstance(body, ValidationError):
        raise NotFound
    accepting = operations.accept_group_transfer(db, cipher, scope, transfer_id, body.unit_ids)
    outcome = await catch_problem(db, accepting)
    if isinstance(outcome, Problem):
        return await _show_acceptance_form(request, db, scope, transfer_id, form, outcome)
    accepted = await queries.get_group_transfer(db, scope.org_id, transfer_id)
    return show_message(request, ngettext("已接收 {count} 人，已列入本组织通讯录", accepted.moved or 0), PAGE_CHANGED)


@add_confirmation_routes(router, "/{transfer_id}/refusal")
async def confirm_refusal(request: Request, db: ReadableDb, scope: Writer, transfer_id: TransferId) -> Confirmation:
    """Refuse the transfer, with a reason. The user types the name of the other org to confirm."""
    transfer = await get_waiting_transfer(db, scope, transfer_id, "in")
    return Confirmation(
        title=ngettext("拒绝接收“{name}”转来的 {count} 人", transfer.people, name=transfer.from_name),
        explanation=gettext("这些人员留在原来的组织。对方的管理员会看到理由，并可以重新申请。"),
        button=gettext("拒绝"),
        operation=lambda db, reason: operations.refuse_group_transfer(db, scope, transfer_id, reason),
        message=gettext("已拒绝，理由已告知对方"),
        name=transfer.from_name,
        reason=gettext("拒绝的理由"),
    )


@add_confirmation_routes(router, "/{transfer_id}/withdrawal")
async def confirm_withdrawal(request: Request, db: ReadableDb, scope: Writer, transfer_id: TransferId) -> Confirmation:
    """Withdraw the transfer that this org has requested. The user types the name of the other org to confirm."""
    transfer = await get_waiting_transfer(db, scope, transfer_id, "out")
    return Confirmation(
        title=ngettext("撤回 {count} 人转到“{name}”的申请", transfer.people, name=transfer.to_name),
        explanation=gettext("撤回后一切保持不变；需要时可以重新申请。"),
        button=gettext("撤回"),
        operation=lambda db, _: operations.withdraw_group_transfer(db, scope, transfer_id),
        message=gettext("申请已撤回"),
        name=transfer.to_name,
    )


async def get_waiting_transfer(db: Readable, scope: OrgScope, transfer_id: UUID, direction: str) -> GroupTransferOut:
    """Return a transfer that waits. Raises NotFound, GroupTransferDecided."""
    transfer = await queries.get_group_transfer(db, scope.org_id, transfer_id)
    if transfer.direction != direction:
        raise NotFound
    if transfer.state is not State.PENDING:
        raise GroupTransferDecided
    return transfer


async def _match_sheet(request: Request, db: WriteDb, cipher: Cipher, scope: OrgScope) -> PeopleSheetOut:
    return await match_sheet(db, cipher, scope, *await read_file_form(request))


def _read_body(form: Form) -> GroupTransferCreate | ValidationError:
    fields = form.get_filled("org_name", "region_code")
    members = read_ids(form, "member_id", MAX_PEOPLE)
    if not members:
        raise Invalid
    return validate_fields(GroupTransferCreate, {**fields, "member_ids": members})


def _show_form(
    request: Request,
    scope: OrgScope,
    form: Form,
    outcome: Outcome = None,
    preview: GroupTransferPreviewOut | None = None,
) -> Response:
    member_ids = read_ids(form, "member_id", MAX_PEOPLE)
    if not member_ids:
        raise Invalid
    dialog = NewGroupTransfer(
        frame=build_org_frame(scope, "members"),
        form=form,
        outcome=outcome,
        member_ids=member_ids,
        region_choices=find_region_choices(
            f"/console/orgs/{scope.org_id}/regions", form.get("region", ""), form.get("region_code", "")
        ),
        preview=preview,
    )
    return render_part(request, dialog)


async def _show_acceptance_form(
    request: Request, db: Readable, scope: OrgScope, transfer_id: UUID, form: Form, outcome: Outcome = None
) -> Response:
    transfer = await queries.get_group_transfer(db, scope.org_id, transfer_id)
    if transfer.direction != "in":
        raise NotFound
    counts = await queries.count_obstacles(db, scope.org_id, transfer_id)
    dialog = GroupAcceptanceForm(
        frame=build_org_frame(scope, "person-transfers"),
        form=form,
        outcome=outcome,
        transfer=transfer,
        picker=await load_picker(db, scope.org_id, form.get_all("unit_id")),
        coming=counts.pop(None, 0),
        staying=[(gettext(OBSTACLES[obstacle]), count) for obstacle, count in counts.items() if obstacle is not None],
    )
    return render_part(request, dialog)
