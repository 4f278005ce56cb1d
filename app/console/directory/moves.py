"""Move all people of a unit to another unit at once. The unit itself stays."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.directory.people import CHANGED, UNITS
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import Form, FormContext, Outcome, PageForm, catch_problem, validate_fields
from app.console.frame.notices import show_message
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_part
from app.core.cipher import Cipher, CipherDep
from app.core.i18n import ngettext
from app.database.db import Readable, ReadDb, WriteDb
from app.members.queries import MemberFilter, count_members
from app.members.transfers.schemas import MoveCreate
from app.members.transfers.unit_moves import move_people
from app.orgs.queries import get_unit
from app.orgs.unit_queries import UnitPathRow, list_units_by_path
from app.orgs.unit_schemas import UnitOut
from app.web.errors import Problem

router = APIRouter(prefix="/console/orgs/{org_id}/units", route_class=ConsoleRoute, include_in_schema=False)

Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]
UnitId = Annotated[UUID, Path()]


class UnitMoveForm(FormContext, FrameContext, template="directory/unit_move.html"):
    """`units`: the targets. `unit_count`: the people of the unit itself; `subtree_count`: with those below it."""

    unit: UnitOut
    units: Sequence[UnitPathRow]
    unit_count: int
    subtree_count: int


@router.get("/{unit_id}/moves/new")
async def show_new_move(request: Request, db: ReadDb, cipher: CipherDep, scope: Writer, unit_id: UnitId) -> Response:
    """Show the form for the target of the move."""
    return await _show_move(request, db, cipher, scope, unit_id, Form([]))


@router.post("/{unit_id}/moves")
async def move_all(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, unit_id: UnitId, form: PageForm
) -> Response:
    """Move all people of a unit, and of its subtree on request, to another unit or to the org itself."""
    unit = await get_unit(db, scope.org_id, unit_id)
    to = form.get("to_unit_id", "")
    fields = {"from_unit_id": unit_id, "units_below": "units_below" in form, "to_unit_id": None if to == "org" else to}
    body = validate_fields(MoveCreate, fields)
    outcome = body if isinstance(body, ValidationError) else await catch_problem(db, move_people(db, scope, body))
    if isinstance(outcome, ValidationError | Problem):
        return await _show_move(request, db, cipher, scope, unit_id, form, outcome)
    message = ngettext("已移动“{name}”的 {count} 人", outcome, name=unit.name)
    return show_message(request, message, CHANGED)


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
        units=[other for other in await list_units_by_path(db, scope.org_id, "", UNITS) if other.id != unit_id],
        unit_count=await count_members(db, cipher, scope.org_id, MemberFilter(unit_id=unit_id)),
        subtree_count=await count_members(db, cipher, scope.org_id, MemberFilter(unit_id=unit_id, units_below=True)),
    )
    return render_part(request, dialog)
