"""The org's units: add, rename, move, remove (S7, S10)."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.directory.pickers import UnitPicker, load_picker
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import (
    Form,
    FormContext,
    OptionalId,
    Outcome,
    PageForm,
    catch_problem,
    is_name_typed,
    validate_fields,
)
from app.console.frame.notices import show_message
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_part
from app.core.cipher import Cipher, CipherDep
from app.core.i18n import gettext
from app.database.db import Readable, ReadDb, WriteDb
from app.members.member_list import MemberFilter, count_members
from app.orgs import units as operations
from app.orgs.queries import get_unit
from app.orgs.unit_schemas import UnitCreate, UnitOut, UnitUpdate
from app.web.errors import Problem

router = APIRouter(prefix="/console/orgs/{org_id}/units", route_class=ConsoleRoute, include_in_schema=False)

Writer = Annotated[OrgScope, Can(Permission.UNITS_WRITE)]
UnitId = Annotated[UUID, Path()]
CHANGED = "units-changed"


class UnitForm(FormContext, FrameContext, template="directory/unit_form.html"):
    """`unit` is None for a new unit; `picker`: the possible parents."""

    unit: UnitOut | None
    picker: UnitPicker


class UnitRemovalForm(FormContext, FrameContext, template="directory/unit_removal.html"):
    """`picker`: the targets for the people, whose number is `unit_count`."""

    unit: UnitOut
    picker: UnitPicker
    unit_count: int


@router.get("/new")
async def show_new_unit(request: Request, db: ReadDb, scope: Writer, parent: OptionalId = None) -> Response:
    """Show the form of a new unit, under another unit or directly under the org."""
    return await _show_form(request, db, scope, None, Form([("parent_id", str(parent))] if parent else []))


@router.post("")
async def add_unit(request: Request, db: WriteDb, scope: Writer, form: PageForm) -> Response:
    """Add a unit."""
    body = validate_fields(UnitCreate, form.get_filled("name", "kind", "last_day", "parent_id"))
    if isinstance(body, ValidationError):
        return await _show_form(request, db, scope, None, form, body)
    outcome = await catch_problem(db, operations.create_unit(db, scope, body))
    if isinstance(outcome, Problem):
        return await _show_form(request, db, scope, None, form, outcome)
    return show_message(request, gettext("已添加“{name}”", name=body.name), CHANGED)


@router.get("/{unit_id}/form")
async def show_edit(request: Request, db: ReadDb, scope: Writer, unit_id: UnitId) -> Response:
    """Show the form that edits a unit: its name, kind and parent."""
    unit = await get_unit(db, scope.org_id, unit_id)
    given = {"name": unit.name, "kind": unit.kind, "parent_id": str(unit.parent_id or ""), "version": str(unit.version)}
    given["last_day"] = unit.last_day.isoformat() if unit.last_day else ""
    return await _show_form(request, db, scope, unit, Form(list(given.items())))


@router.post("/{unit_id}")
async def edit_unit(request: Request, db: WriteDb, scope: Writer, unit_id: UnitId, form: PageForm) -> Response:
    """Rename a unit, or move it with its subtree."""
    unit = await get_unit(db, scope.org_id, unit_id)
    fields: dict[str, Any] = form.get_filled("name", "kind", "last_day")
    if "parent_id" in form:
        fields["parent_id"] = form["parent_id"] or None
    body = validate_fields(UnitUpdate, fields)
    if isinstance(body, ValidationError) or not form.get_filled("name"):
        return await _show_form(request, db, scope, unit, form, {"name"})
    version = int(form["version"]) if form.get("version", "").isdecimal() and len(form["version"]) < 10 else None
    outcome = await catch_problem(db, operations.update_unit(db, scope, unit_id, body, version))
    if isinstance(outcome, Problem):
        return await _show_form(request, db, scope, unit, form, outcome)
    return show_message(request, gettext("已保存“{name}”", name=body.name), CHANGED, "members-changed")


@router.get("/{unit_id}/removal")
async def show_removal(request: Request, db: ReadDb, cipher: CipherDep, scope: Writer, unit_id: UnitId) -> Response:
    """Show the effect of removing a unit, and the units to which its people can move."""
    return await _show_removal(request, db, cipher, scope, unit_id, Form([]))


@router.post("/{unit_id}/removal")
async def remove_unit(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, unit_id: UnitId, form: PageForm
) -> Response:
    """Remove a unit and move its people to the chosen target. The user types the unit's name to confirm."""
    unit = await get_unit(db, scope.org_id, unit_id)
    if not is_name_typed(unit.name, form):
        return await _show_removal(request, db, cipher, scope, unit_id, form, {"name"})
    target = form.get("move_people_to", "")
    to = UUID(target) if _is_uuid(target) else None
    if to is None and await count_members(db, cipher, scope.org_id, MemberFilter(unit_id=unit_id)):
        return await _show_removal(request, db, cipher, scope, unit_id, form, {"move_people_to"})
    outcome = await catch_problem(db, operations.remove_unit(db, scope, unit_id, to, None))
    if isinstance(outcome, Problem):
        return await _show_removal(request, db, cipher, scope, unit_id, form, outcome)
    # The page shows the removed unit, so the whole page is loaded again.
    return Response(status_code=204, headers={"HX-Redirect": f"/console/orgs/{scope.org_id}/members"})


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


async def _show_form(
    request: Request, db: Readable, scope: OrgScope, unit: UnitOut | None, form: Form, outcome: Outcome = None
) -> Response:
    parent, without = form.get_all("parent_id"), unit.id if unit else None
    picker = await load_picker(db, scope.org_id, parent, name="parent_id", kind="radio", without=without)
    frame = build_org_frame(scope, "members")
    return render_part(request, UnitForm(frame=frame, form=form, outcome=outcome, unit=unit, picker=picker))


async def _show_removal(
    request: Request,
    db: Readable,
    cipher: Cipher,
    scope: OrgScope,
    unit_id: UUID,
    form: Form,
    outcome: Outcome = None,
) -> Response:
    unit = await get_unit(db, scope.org_id, unit_id)
    dialog = UnitRemovalForm(
        frame=build_org_frame(scope, "members"),
        form=form,
        outcome=outcome,
        unit=unit,
        picker=await load_picker(
            db, scope.org_id, form.get_all("move_people_to"), name="move_people_to", kind="radio", without=unit_id
        ),
        unit_count=await count_members(db, cipher, scope.org_id, MemberFilter(unit_id=unit_id)),
    )
    return render_part(request, dialog)
