"""Actions on several people: move, copy, set units (选择组织), remove. Each person succeeds or fails alone."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.directory.people import CHANGED, UNITS
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import Form, FormContext, Outcome, PageForm, catch_problem, read_ids
from app.console.frame.notices import Undo, translate_title
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import Context, render_part
from app.core.cipher import Cipher, CipherDep
from app.database.db import WriteDb
from app.members.operations import remove_member
from app.members.queries import get_member, list_members_by_id
from app.members.schemas import MemberOut, MemberUnitsPut
from app.members.unit_memberships import copy_member, set_units
from app.orgs.unit_queries import UnitPathRow, list_units_by_path
from app.web.errors import Invalid, Problem

router = APIRouter(prefix="/console/orgs/{org_id}/selection", route_class=ConsoleRoute, include_in_schema=False)

Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]
Act = Literal["move", "copy", "units", "removal"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The chosen people and the target units."""

    members: list[UUID]
    units: list[UUID]
    at_org: bool
    viewed: UUID | None

    @classmethod
    def from_form(cls, form: Form) -> "Chosen":
        viewed = read_ids(form, "viewed")[0] if form.get("viewed") else None
        return cls(read_ids(form, "member_id"), read_ids(form, "unit_id"), "at_org" in form, viewed)


class SelectionForm(FormContext, FrameContext, template="directory/selection.html"):
    act: Act
    chosen: Chosen
    names: Sequence[str]
    units: Sequence[UnitPathRow]


class SelectionResult(Context, template="directory/selection_done.html"):
    """How many people the action took effect for, and the names and reasons of the refused ones."""

    act: Act
    count: int
    refused: Sequence[tuple[str, str]]
    undo: Undo | None


@router.post("")
async def show_act(request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, form: PageForm) -> Response:
    """Show what the action does to the ticked people, and the choice that it needs."""
    return await _show(request, db, cipher, scope, _read_act(form), form)


@router.post("/{act}")
async def run_act(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, act: Act, form: PageForm
) -> Response:
    """Run the action for each person. Report each refusal with its reason; the others take effect."""
    chosen = Chosen.from_form(form)
    if not _is_complete(act, chosen, form):
        return await _show(request, db, cipher, scope, act, form, {"choice"})
    refused: list[tuple[str, str]] = []
    removed: list[tuple[str, str]] = []
    for member_id in chosen.members:
        outcome = await catch_problem(db, _ACTS[act](db, cipher, scope, member_id, chosen))
        if isinstance(outcome, Problem):
            member = await catch_problem(db, get_member(db, cipher, scope.org_id, member_id))
            refused.append((member.name if isinstance(member, MemberOut) else "—", translate_title(outcome)))
        elif act == "removal":
            removed.append(("member_id", str(member_id)))
    undo = Undo(f"/console/orgs/{scope.org_id}/removed/restorations", removed) if removed else None
    count = len(chosen.members) - len(refused)
    response = render_part(request, SelectionResult(act=act, count=count, refused=refused, undo=undo))
    response.headers["HX-Trigger"] = CHANGED
    return response


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
        units=[] if act == "removal" else await list_units_by_path(db, scope.org_id, "", UNITS),
    )
    return render_part(request, dialog)


async def _move(db: WriteDb, cipher: Cipher, scope: OrgScope, member_id: UUID, chosen: Chosen) -> None:
    """Move the person out of the viewed unit (without one: out of all units) into another."""
    member = await get_member(db, cipher, scope.org_id, member_id)
    stay = [unit.id for unit in member.units if chosen.viewed is not None and unit.id != chosen.viewed]
    body = MemberUnitsPut(unit_ids=[*stay, *chosen.units], at_org=False)
    await set_units(db, cipher, scope, member_id, body, None)


async def _copy(db: WriteDb, cipher: Cipher, scope: OrgScope, member_id: UUID, chosen: Chosen) -> None:
    for unit in chosen.units:
        await copy_member(db, cipher, scope, member_id, unit)


async def _set_units(db: WriteDb, cipher: Cipher, scope: OrgScope, member_id: UUID, chosen: Chosen) -> None:
    await set_units(db, cipher, scope, member_id, MemberUnitsPut(unit_ids=chosen.units, at_org=chosen.at_org), None)


async def _remove(db: WriteDb, _: Cipher, scope: OrgScope, member_id: UUID, __: Chosen) -> None:
    await remove_member(db, scope, member_id, None)


_ACTS: dict[Act, Callable[[WriteDb, Cipher, OrgScope, UUID, Chosen], Awaitable[None]]] = {
    "move": _move,
    "copy": _copy,
    "units": _set_units,
    "removal": _remove,
}
