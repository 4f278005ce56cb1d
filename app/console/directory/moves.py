"""Move all people of a unit to another unit at once. The unit itself stays."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.directory.people import CHANGED
from app.console.directory.pickers import UnitPicker, load_picker
from app.console.directory.unit_changes import MovePreview, PeopleMoves, build_move_undo, describe_moves
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import Form, FormContext, Outcome, PageForm, catch_problem, validate_fields
from app.console.frame.notices import show_message
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_part
from app.core.cipher import Cipher, CipherDep
from app.core.i18n import gettext, ngettext
from app.database.db import Readable, ReadDb, WriteDb
from app.members.member_list import MemberFilter, count_members
from app.members.transfers.schemas import MoveCreate
from app.members.transfers.unit_moves import list_departures, move_people
from app.orgs.queries import get_unit
from app.orgs.unit_queries import list_units_by_id
from app.orgs.unit_schemas import UnitOut
from app.web.errors import Problem

router = APIRouter(prefix="/console/orgs/{org_id}/units", route_class=ConsoleRoute, include_in_schema=False)

Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]
UnitId = Annotated[UUID, Path()]


class UnitMoveForm(FormContext, FrameContext, template="directory/unit_move.html"):
    """`picker`: the targets. `unit_count`: the people of the unit itself; `subtree_count`: with those below it."""

    unit: UnitOut
    picker: UnitPicker
    unit_count: int
    subtree_count: int
    moves: PeopleMoves


@router.get("/{unit_id}/moves/new")
async def show_new_move(request: Request, db: ReadDb, cipher: CipherDep, scope: Writer, unit_id: UnitId) -> Response:
    """Show the form that moves all people of a unit to another unit."""
    return await _show_move(request, db, cipher, scope, unit_id, Form([]))


@router.post("/{unit_id}/moves/preview")
async def preview_move(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, unit_id: UnitId, form: PageForm
) -> Response:
    """Show which units the people leave, and the unit that they get."""
    await get_unit(db, scope.org_id, unit_id)
    return render_part(request, MovePreview(moves=await _preview(db, cipher, scope, unit_id, form)))


@router.post("/{unit_id}/moves")
async def move_all(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, unit_id: UnitId, form: PageForm
) -> Response:
    """Move all people of a unit, and of its subtree on request, to another unit or to the org itself."""
    unit = await get_unit(db, scope.org_id, unit_id)
    body = _read_move(unit_id, form)
    if isinstance(body, ValidationError):
        return await _show_move(request, db, cipher, scope, unit_id, form, body)
    outcome = await catch_problem(db, move_people(db, scope, body))
    if isinstance(outcome, Problem):
        return await _show_move(request, db, cipher, scope, unit_id, form, outcome)
    moved, _ = outcome
    targets = await list_units_by_id(db, scope.org_id, [body.to_unit_id] if body.to_unit_id else [])
    target = targets[0].path if targets else gettext("管理组")
    message = ngettext("已将“{name}”的 {count} 人移到“{target}”", moved.people, name=unit.name, target=target)
    return show_message(request, message, CHANGED, undo=build_move_undo(scope.org_id, moved, body, []))


def _read_move(unit_id: UUID, form: Form) -> MoveCreate | ValidationError:
    to = form.get("to_unit_id", "")
    fields = {"from_unit_id": unit_id, "units_below": "units_below" in form, "to_unit_id": None if to == "org" else to}
    return validate_fields(MoveCreate, fields)


async def _preview(db: Readable, cipher: Cipher, scope: OrgScope, unit_id: UUID, form: Form) -> PeopleMoves:
    body = _read_move(unit_id, form)
    if isinstance(body, ValidationError):
        # No target is chosen yet: the preview is that of a unit that does not exist.
        nowhere = MoveCreate(from_unit_id=unit_id, units_below="units_below" in form, to_unit_id=UUID(int=0))
        return await describe_moves(db, cipher, scope.org_id, await list_departures(db, scope.org_id, nowhere), None)
    people = await list_departures(db, scope.org_id, body)
    return await describe_moves(db, cipher, scope.org_id, people, body.to_unit_id or "org")


async def _show_move(
    request: Request,
    db: Readable,
    cipher: Cipher,
    scope: OrgScope,
    unit_id: UUID,
    form: Form,
    outcome: Outcome = None,
) -> Response:
    unit = await get_unit(db, scope.org_id, unit_id)
    dialog = UnitMoveForm(
        frame=build_org_frame(scope, "members"),
        form=form,
        outcome=outcome,
        unit=unit,
        picker=await load_picker(
            db, scope.org_id, form.get_all("to_unit_id"), name="to_unit_id", kind="radio", without=unit_id
        ),
        unit_count=await count_members(db, cipher, scope.org_id, MemberFilter(unit_id=unit_id)),
        subtree_count=await count_members(db, cipher, scope.org_id, MemberFilter(unit_id=unit_id, units_below=True)),
        moves=await _preview(db, cipher, scope, unit_id, form),
    )
    return render_part(request, dialog)
