"""One person of the directory: show, add, edit, choose units, show the full phone number, remove."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.directory.pickers import UnitPicker, load_picker, merge_units
from app.console.frame.confirmations import Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import Form, FormContext, OptionalId, Outcome, PageForm, catch_problem, validate_fields
from app.console.frame.notices import Undo, show_message
from app.console.frame.phone_fields import read_phone
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import Context, ProblemContext, render_part
from app.core.cipher import CipherDep
from app.core.i18n import gettext
from app.database.db import Readable, ReadableDb, ReadDb, WriteDb
from app.idempotency.replay import never_replayed
from app.members.errors import PhoneExists
from app.members.operations import create_member, disclose_phone, remove_member, update_member
from app.members.queries import get_member
from app.members.schemas import CopyCreate, MemberCreate, MemberOut, MemberUnitsPut, MemberUpdate, PositionPut
from app.members.unit_memberships import copy_member, set_units
from app.members.unit_order import set_position
from app.orgs.unit_queries import UnitPathRow, list_units_by_id
from app.web.errors import NotFound, Problem

router = APIRouter(prefix="/console/orgs/{org_id}/members", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]
MemberId = Annotated[UUID, Path()]
CHANGED = "members-changed"


class NewMember(FormContext, FrameContext, template="directory/new_member.html"):
    picker: UnitPicker


class PhoneExistsDialog(FrameContext, template="directory/phone_exists.html"):
    """The member who has the phone, as the problem carries it, and the units into which they can be copied."""

    member: Any
    units: Sequence[UnitPathRow]

    def get_status(self) -> int:
        return PhoneExists.status


class MemberDrawer(FrameContext, template="directory/member.html"):
    """A member in the drawer. If the user typed a wrong place in a unit, `wrong_position` is that unit and `typed` is
    the text."""

    member: MemberOut
    wrong_position: UUID | None = None
    typed: str = ""

    def get_status(self) -> int:
        return 200 if self.wrong_position is None else 422


class MemberPhone(Context, template="directory/member_phone.html"):
    phone: str


class MemberForm(FormContext, FrameContext, template="directory/member_form.html"):
    member: MemberOut


class MemberUnitsForm(FrameContext, ProblemContext, template="directory/member_units.html"):
    member: MemberOut
    picker: UnitPicker


@router.get("/new")
async def show_new_member(request: Request, db: ReadDb, scope: Writer, unit: OptionalId = None) -> Response:
    """Show the form to add a person to a unit or to the org itself."""
    return await _show_form(request, db, scope, Form([("unit_id", str(unit))] if unit else []))


@router.post("")
async def add_member(request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, form: PageForm) -> Response:
    """Add a person. If the phone exists, show its member and offer the copy (S8)."""
    fields: dict[str, Any] = {"name": form.get("name", ""), "no_phone": "no_phone" in form, **read_phone(form)}
    fields |= {"unit_ids": form.get_all("unit_id"), **_read_party(form), **form.get_filled("post")}
    body = validate_fields(MemberCreate, fields)
    if isinstance(body, ValidationError):
        return await _show_form(request, db, scope, form, body)
    added = await catch_problem(db, create_member(db, cipher, scope, body))
    if isinstance(added, PhoneExists):
        there = await list_units_by_id(db, scope.org_id, body.unit_ids)
        frame = build_org_frame(scope, "members")
        return render_part(request, PhoneExistsDialog(frame=frame, member=added.extra.get("member"), units=there))
    if isinstance(added, Problem):
        return await _show_form(request, db, scope, form, added)
    return show_message(request, gettext("已添加 {name}", name=added.name), CHANGED)


@router.post("/{member_id}/copies")
async def copy_into_units(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, member_id: MemberId, form: PageForm
) -> Response:
    """Add a person to more units (复制到本组织)."""
    for unit in form.get_all("unit_id"):
        body = validate_fields(CopyCreate, {"unit_id": unit})
        if isinstance(body, ValidationError):
            raise NotFound
        await copy_member(db, cipher, scope, member_id, body.unit_id)
    return show_message(request, gettext("已复制到所选组织"), CHANGED)


@router.get("/{member_id}")
async def show_member(request: Request, db: ReadDb, cipher: CipherDep, scope: Reader, member_id: MemberId) -> Response:
    """Show a member in the drawer."""
    return await _show_member(request, db, cipher, scope, member_id)


@router.get("/{member_id}/form")
async def show_edit(request: Request, db: ReadDb, cipher: CipherDep, scope: Writer, member_id: MemberId) -> Response:
    """Show the form for a member's name, phone and party flag."""
    member = await get_member(db, cipher, scope.org_id, member_id)
    return render_part(request, MemberForm(frame=build_org_frame(scope, "members"), member=member))


@router.post("/{member_id}")
async def edit_member(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, member_id: MemberId, form: PageForm
) -> Response:
    """Edit a member. If the phone is left empty, it does not change."""
    fields: dict[str, Any] = {
        **read_phone(form),
        **({"no_phone": True} if "no_phone" in form else {}),
        "name": form.get("name", ""),
        "post": form.get("post", "").strip() or None,
        **_read_party(form),
    }
    body = validate_fields(MemberUpdate, fields)
    outcome: Any = body
    if isinstance(body, MemberUpdate):
        outcome = await catch_problem(db, update_member(db, cipher, scope, member_id, body, _read_version(form)))
    if isinstance(outcome, ValidationError | Problem):
        member = await get_member(db, cipher, scope.org_id, member_id)
        frame = build_org_frame(scope, "members")
        return render_part(request, MemberForm(frame=frame, form=form, outcome=outcome, member=member))
    return _announce_change(await _show_member(request, db, cipher, scope, member_id))


@router.get("/{member_id}/units")
async def show_units(request: Request, db: ReadDb, cipher: CipherDep, scope: Writer, member_id: MemberId) -> Response:
    """Show the form for the person's units (选择组织)."""
    return await _show_units(request, db, cipher, scope, member_id, None)


@router.post("/{member_id}/units")
async def choose_units(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, member_id: MemberId, form: PageForm
) -> Response:
    """Change the person's units by those ticked and unticked, in one call (S8)."""
    member = await get_member(db, cipher, scope.org_id, member_id)
    units = merge_units((unit.id for unit in member.units), form)
    body = validate_fields(MemberUnitsPut, {"unit_ids": units, "at_org": "at_org" in form})
    if isinstance(body, ValidationError):
        raise NotFound
    outcome = await catch_problem(db, set_units(db, cipher, scope, member_id, body, _read_version(form)))
    if isinstance(outcome, Problem):
        return await _show_units(request, db, cipher, scope, member_id, outcome)
    return _announce_change(await _show_member(request, db, cipher, scope, member_id))


@router.post("/{member_id}/units/{unit_id}/position")
async def choose_position(
    request: Request,
    db: WriteDb,
    cipher: CipherDep,
    scope: Writer,
    member_id: MemberId,
    unit_id: Annotated[UUID, Path()],
    form: PageForm,
) -> Response:
    """Set the person's place in a unit. An empty place puts them after the others, by name."""
    typed = form.get("position", "").strip()
    body = validate_fields(PositionPut, {"position": typed or None})
    if not isinstance(body, PositionPut):
        member = await get_member(db, cipher, scope.org_id, member_id)
        frame = build_org_frame(scope, "members")
        return render_part(request, MemberDrawer(frame=frame, member=member, wrong_position=unit_id, typed=typed))
    await set_position(db, cipher, scope, member_id, unit_id, body.position)
    return _announce_change(await _show_member(request, db, cipher, scope, member_id))


@router.post("/{member_id}/phone-disclosures")
@never_replayed
async def show_phone(request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, member_id: MemberId) -> Response:
    """Show the full phone number. The disclosure is audited."""
    phone = await disclose_phone(db, cipher, scope, member_id)
    return render_part(request, MemberPhone(phone=phone))


@add_confirmation_routes(router, "/{member_id}/removal")
async def confirm_removal(
    request: Request, db: ReadableDb, cipher: CipherDep, scope: Writer, member_id: MemberId
) -> Confirmation:
    """Remove a person from the directory. The user types the person's name to confirm."""
    member = await get_member(db, cipher, scope.org_id, member_id)
    return Confirmation(
        title=gettext("移除 {name}", name=member.name),
        explanation=gettext(
            "{name} 将从本组织及其所有支部中移除。本人的账号和积分不受影响。30 天内可以在“最近移除”中恢复。",
            name=member.name,
        ),
        button=gettext("移除"),
        operation=lambda db, _: remove_member(db, scope, member_id, None),
        message=gettext("已移除 {name}", name=member.name),
        name=member.name,
        changed=CHANGED,
        undo=Undo(f"/console/orgs/{scope.org_id}/removed/{member_id}/restoration", gettext("撤销移除")),
    )


async def _show_form(request: Request, db: Readable, scope: OrgScope, form: Form, outcome: Outcome = None) -> Response:
    picker = await load_picker(db, scope.org_id, form.get_all("unit_id"))
    frame = build_org_frame(scope, "members")
    return render_part(request, NewMember(frame=frame, form=form, outcome=outcome, picker=picker))


async def _show_member(request: Request, db: Readable, cipher: CipherDep, scope: OrgScope, member_id: UUID) -> Response:
    member = await get_member(db, cipher, scope.org_id, member_id)
    return render_part(request, MemberDrawer(frame=build_org_frame(scope, "members"), member=member))


async def _show_units(
    request: Request, db: Readable, cipher: CipherDep, scope: OrgScope, member_id: UUID, problem: Problem | None
) -> Response:
    member = await get_member(db, cipher, scope.org_id, member_id)
    units = [unit.id for unit in member.units]
    picker = await load_picker(db, scope.org_id, units, had=units)
    frame = build_org_frame(scope, "members")
    return render_part(request, MemberUnitsForm(frame=frame, problem=problem, member=member, picker=picker))


def _announce_change(response: Response) -> Response:
    response.headers["HX-Trigger"] = CHANGED
    return response


def _read_party(form: Form) -> dict[str, bool]:
    probationary = form.get("probationary") == "yes"
    return {"party": probationary or form.get("party") == "yes", "probationary": probationary}


def _read_version(form: Form) -> int | None:
    version = form.get("version", "")
    return int(version) if version.isascii() and version.isdecimal() and len(version) < 10 else None
