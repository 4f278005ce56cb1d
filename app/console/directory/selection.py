"""Actions on several selected people: move, copy, set units (选择组织), remove.

A copy, a setting of units or a removal can succeed for some of the people and be refused for others.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.directory.people import CHANGED
from app.console.directory.pickers import UnitPicker, load_picker
from app.console.directory.unit_changes import MovePreview, PeopleMoves, build_move_undo, describe_moves
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import (
    Form,
    FormContext,
    Outcome,
    PageForm,
    catch_problem,
    read_ids,
    validate_fields,
)
from app.console.frame.notices import Undo, show_message, translate_title
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import Context, render_part
from app.core.cipher import Cipher, CipherDep
from app.core.i18n import gettext, ngettext
from app.database.db import WriteDb
from app.members.operations import remove_member
from app.members.queries import get_member, list_members_by_id
from app.members.schemas import MemberOut, MemberUnitsPut
from app.members.transfers.schemas import MoveCreate, MoveUndo
from app.members.transfers.unit_moves import list_departures, move_people, undo_move
from app.members.unit_memberships import copy_member, set_units
from app.web.errors import Invalid, Problem

router = APIRouter(prefix="/console/orgs/{org_id}/selection", route_class=ConsoleRoute, include_in_schema=False)

Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]
Act = Literal["move", "copy", "units", "removal"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The selected people and the target units of the action.

    `at_org`: the org itself is a target. `viewed` is the part of the directory that the page shows: a unit, `org` (the
    people at the org itself), or empty (all people).
    """

    members: list[UUID]
    units: list[UUID]
    at_org: bool
    viewed: UUID | Literal["org", ""]

    @classmethod
    def from_form(cls, form: Form) -> "Chosen":
        given = form.get("viewed", "")
        viewed: UUID | Literal["org", ""] = "org" if given == "org" else read_ids(form, "viewed")[0] if given else ""
        return cls(read_ids(form, "member_id"), read_ids(form, "unit_id"), "at_org" in form, viewed)

    @property
    def move(self) -> MoveCreate:
        """Return the request to move the selected people from the viewed part of the directory to the first target
        unit. If no target unit is chosen yet, the request names a unit that does not exist."""
        return MoveCreate(
            from_unit_id=self.viewed if isinstance(self.viewed, UUID) else None,
            units_below=self.viewed != "org",
            member_ids=self.members,
            to_unit_id=self.units[0] if self.units else UUID(int=0),
        )


class SelectionForm(FormContext, FrameContext, template="directory/selection.html"):
    act: Act
    chosen: Chosen
    names: Sequence[str]
    picker: UnitPicker
    moves: PeopleMoves | None


class SelectionResult(Context, template="directory/selection_done.html"):
    """How many people the action took effect for, and the names and reasons of the refused ones."""

    act: Act
    count: int
    refused: Sequence[tuple[str, str]]
    undo: Undo | None
    moves: PeopleMoves | None = None


@router.post("")
async def show_act(request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, form: PageForm) -> Response:
    """Show what the action does to the ticked people, and the choice that it needs."""
    return await _show(request, db, cipher, scope, _read_act(form), form)


@router.post("/preview")
async def preview_move(request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, form: PageForm) -> Response:
    """Show the effect of the move: the people, the units that they leave and the units that they get."""
    return render_part(request, MovePreview(moves=await _preview(db, cipher, scope, Chosen.from_form(form))))


@router.post("/reversals")
async def undo(request: Request, db: WriteDb, scope: Writer, form: PageForm) -> Response:
    """Return people of a move to the units that they left."""
    target = form.get("to_unit_id") or None
    fields = {"moved_at": form.get("moved_at"), "to_unit_id": target, "member_ids": form.get_all("member_id") or None}
    body = validate_fields(MoveUndo, fields)
    if isinstance(body, ValidationError):
        raise Invalid
    count = await undo_move(db, scope, body)
    message = ngettext("已移回 {count} 人", count) if count else gettext("没有可以移回的人员：已再次调整，或已超过一天")
    return show_message(request, message, CHANGED)


@router.post("/{act}")
async def run_act(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, act: Act, form: PageForm
) -> Response:
    """Run the action for each person. Report each refusal with its reason; the others take effect."""
    chosen = Chosen.from_form(form)
    if not _is_complete(act, chosen, form):
        return await _show(request, db, cipher, scope, act, form, {"choice"})
    if act == "move":
        return await _run_move(request, db, cipher, scope, form)
    refused: list[tuple[str, str]] = []
    removed: list[tuple[str, str]] = []
    for member_id in chosen.members:
        outcome = await catch_problem(db, _ACTS[act](db, cipher, scope, member_id, chosen))
        if isinstance(outcome, Problem):
            member = await catch_problem(db, get_member(db, cipher, scope.org_id, member_id))
            refused.append((member.name if isinstance(member, MemberOut) else "—", translate_title(outcome)))
        elif act == "removal":
            removed.append(("member_id", str(member_id)))
    restorations = f"/console/orgs/{scope.org_id}/removed/restorations"
    undo = Undo(restorations, gettext("撤销移除"), removed) if removed else None
    count = len(chosen.members) - len(refused)
    response = render_part(request, SelectionResult(act=act, count=count, refused=refused, undo=undo))
    response.headers["HX-Trigger"] = CHANGED
    return response


async def _run_move(request: Request, db: WriteDb, cipher: Cipher, scope: OrgScope, form: Form) -> Response:
    """Move all chosen people at once. Report the people who could not be moved."""
    chosen = Chosen.from_form(form)
    outcome = await catch_problem(db, move_people(db, scope, chosen.move))
    if isinstance(outcome, Problem):
        return await _show(request, db, cipher, scope, "move", form, outcome)
    moved, people = outcome
    found = await list_members_by_id(db, cipher, scope.org_id, chosen.members)
    moved_ids = {person.member_id for person in people}
    left = [found[member].name if member in found else "—" for member in chosen.members if member not in moved_ids]
    reason = gettext("已不在查看的范围内，或已在所选支部")
    result = SelectionResult(
        act="move",
        count=moved.people,
        refused=[(name, reason) for name in left],
        undo=build_move_undo(scope.org_id, moved, chosen.move, [person.member_id for person in people]),
        moves=await describe_moves(db, cipher, scope.org_id, people, chosen.units[0]),
    )
    response = render_part(request, result)
    response.headers["HX-Trigger"] = CHANGED
    return response


async def _preview(db: WriteDb, cipher: Cipher, scope: OrgScope, chosen: Chosen) -> PeopleMoves:
    people = await list_departures(db, scope.org_id, chosen.move)
    return await describe_moves(db, cipher, scope.org_id, people, chosen.units[0] if chosen.units else None)


def _read_act(form: Form) -> Act:
    match form.get("act"):
        case "move":
            return "move"
        case "copy":
            return "copy"
        case "units":
            return "units"
        case "removal":
            return "removal"
        case _:
            raise Invalid


def _is_complete(act: Act, chosen: Chosen, form: Form) -> bool:
    """Return whether the form has every field that the chosen action needs. For a removal the user must have typed the
    number of selected people."""
    if act == "removal":
        return form.get("count", "").strip() == str(len(chosen.members))
    return bool(chosen.units) or (act == "units" and chosen.at_org)


async def _show(
    request: Request,
    db: WriteDb,
    cipher: Cipher,
    scope: OrgScope,
    act: Act,
    form: Form,
    outcome: Outcome = None,
) -> Response:
    chosen = Chosen.from_form(form)
    found = await list_members_by_id(db, cipher, scope.org_id, chosen.members)
    dialog = SelectionForm(
        frame=build_org_frame(scope, "members"),
        form=form,
        outcome=outcome,
        act=act,
        chosen=chosen,
        names=[found[member].name for member in chosen.members if member in found],
        picker=await load_picker(
            db, scope.org_id, form.get_all("unit_id"), kind="radio" if act == "move" else "checkbox"
        ),
        moves=await _preview(db, cipher, scope, chosen) if act == "move" else None,
    )
    return render_part(request, dialog)


async def _copy(db: WriteDb, cipher: Cipher, scope: OrgScope, member_id: UUID, chosen: Chosen) -> None:
    for unit in chosen.units:
        await copy_member(db, cipher, scope, member_id, unit)


async def _set_units(db: WriteDb, cipher: Cipher, scope: OrgScope, member_id: UUID, chosen: Chosen) -> None:
    await set_units(db, cipher, scope, member_id, MemberUnitsPut(unit_ids=chosen.units, at_org=chosen.at_org), None)


async def _remove(db: WriteDb, _: Cipher, scope: OrgScope, member_id: UUID, __: Chosen) -> None:
    await remove_member(db, scope, member_id, None)


_ACTS: dict[str, Callable[[WriteDb, Cipher, OrgScope, UUID, Chosen], Awaitable[None]]] = {
    "copy": _copy,
    "units": _set_units,
    "removal": _remove,
}
