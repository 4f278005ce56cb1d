"""Everybody of a unit is moved to another at once; the unit itself stays."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.directory.people import CHANGED, UNITS
from app.console.frame.forms import Form, Outcome, PageForm, checked, refusal_of, show_form
from app.console.frame.notices import done
from app.console.frame.route import ConsoleRoute
from app.console.frame.standing import in_org
from app.core.cipher import Cipher, CipherDep
from app.core.i18n import ngettext
from app.database.db import Readable, ReadDb, WriteDb
from app.members.queries import MemberFilter, count_members
from app.members.transfers.schemas import MoveCreate
from app.members.transfers.unit_moves import move_people
from app.orgs.queries import get_unit
from app.orgs.unit_queries import list_units_by_path
from app.web.errors import Problem

router = APIRouter(prefix="/console/orgs/{org_id}/units", route_class=ConsoleRoute, include_in_schema=False)

Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]
UnitId = Annotated[UUID, Path()]


@router.get("/{unit_id}/moves/new")
async def show_new_move(request: Request, db: ReadDb, cipher: CipherDep, scope: Writer, unit_id: UnitId) -> Response:
    """Where everybody in a unit is to stand."""
    return await _show_move(request, db, cipher, scope, unit_id, Form([]))


@router.post("/{unit_id}/moves")
async def move_all(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, unit_id: UnitId, form: PageForm
) -> Response:
    """Moves everybody who stands in a unit, and on a tick those below it, to another or to the org itself."""
    unit = await get_unit(db, scope.org_id, unit_id)
    to = form.get("to_unit_id", "")
    asked = {"from_unit_id": unit_id, "units_below": "units_below" in form, "to_unit_id": None if to == "org" else to}
    body = checked(MoveCreate, asked)
    outcome = body if isinstance(body, ValidationError) else await refusal_of(db, move_people(db, scope, body))
    if isinstance(outcome, ValidationError | Problem):
        return await _show_move(request, db, cipher, scope, unit_id, form, outcome)
    said = ngettext("已移动“{name}”的 {count} 人", outcome, name=unit.name)
    return done(request, said, CHANGED)


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
    here = await count_members(db, cipher, scope.org_id, MemberFilter(unit_id=unit_id))
    below = await count_members(db, cipher, scope.org_id, MemberFilter(unit_id=unit_id, units_below=True))
    others = [one for one in await list_units_by_path(db, scope.org_id, "", UNITS) if one.id != unit_id]
    shown = {**in_org(scope, "members"), "unit": unit, "units": others, "here_count": here, "below_count": below}
    return show_form(request, "units/unit_move.html", form, outcome, **shown)
