"""The choice of units in a form. It shows some units at a time, and says how many more there are: the others are found
by search or loaded on request. A chosen unit is always among those shown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.frame.forms import Form, OptionalId
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import Context, render_part
from app.core.text import contains_refused_characters
from app.database.db import Readable, ReadDb
from app.orgs.unit_queries import UnitPathRow, list_units_by_id, list_units_by_path

router = APIRouter(prefix="/console/orgs/{org_id}", route_class=ConsoleRoute, include_in_schema=False)

Kind = Literal["checkbox", "radio"]
Name = Literal["unit_id", "parent_id", "to_unit_id", "move_people_to"]
_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitPicker:
    """The units that a form offers.

    `chosen_units` are those that are or were chosen, by their paths; `units` are the others, in the order of the tree.
    `left` is the number of units that follow, and `had` has the ids that were chosen when the form was opened.
    """

    org_id: UUID
    name: Name
    kind: Kind
    chosen: frozenset[str]
    had: Sequence[str] = ()
    without: UUID | None = None
    wanted: str = ""
    chosen_units: Sequence[UnitPathRow] = ()
    units: Sequence[UnitPathRow] = ()
    left: int = 0

    @property
    def address(self) -> str:
        """Return the address from which the list is loaded for a search."""
        query = {"name": self.name, "kind": self.kind, "without": str(self.without or "")}
        return f"/console/orgs/{self.org_id}/unit-choices?{urlencode(query)}"

    @property
    def next_address(self) -> str:
        """Return the address from which the next units are loaded."""
        return f"{self.address}&{urlencode({'after': self.units[-1].sort})}"


class UnitChoices(Context, template="directory/unit_list.html"):
    """The list of a picker, or the next part of it."""

    picker: UnitPicker


async def load_picker(
    db: Readable,
    org_id: UUID,
    chosen: Iterable[object],
    *,
    name: Name = "unit_id",
    kind: Kind = "checkbox",
    had: Iterable[object] = (),
    without: UUID | None = None,
    wanted: str = "",
    after: str = "",
) -> UnitPicker:
    """Return the units to choose from. Ids that are none of the org's units are left out."""
    marked, former = [str(each) for each in chosen], [str(each) for each in had]
    ids = [unit for unit in map(_parse_id, [*former, *marked]) if unit is not None]
    shown = (
        []
        if contains_refused_characters(wanted)
        else await _list_others(db, org_id, wanted.strip(), after, [*ids, without])
    )
    return UnitPicker(
        org_id=org_id,
        name=name,
        kind=kind,
        chosen=frozenset(marked),
        had=former,
        without=without,
        wanted=wanted.strip(),
        chosen_units=[] if after else await list_units_by_id(db, org_id, ids),
        units=shown,
        left=shown[0].left - len(shown) if shown else 0,
    )


def merge_units(current: Iterable[UUID], form: Form) -> list[UUID]:
    """Return the current units after what the form has changed: the units ticked and unticked since it was opened.

    A unit that the form did not show remains as it is.
    """
    ticked, had = form.get_all("unit_id"), form.get_all("had")
    unchanged = [unit for unit in current if str(unit) not in had or str(unit) in ticked]
    added = [unit for unit in map(_parse_id, ticked) if unit is not None and str(unit) not in had]
    return list(dict.fromkeys([*unchanged, *added]))


@router.get("/unit-choices")
async def show_unit_choices(
    request: Request,
    db: ReadDb,
    scope: Annotated[OrgScope, Can(Permission.UNITS_READ)],
    name: Name = "unit_id",
    kind: Kind = "checkbox",
    without: OptionalId = None,
    wanted: Annotated[str, Query(max_length=100)] = "",
    after: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Show the units that match the typed text, below those that are chosen; with `after` the units that follow."""
    chosen, had = request.query_params.getlist(name), request.query_params.getlist("had")
    picker = await load_picker(
        db, scope.org_id, chosen, name=name, kind=kind, had=had, without=without, wanted=wanted, after=after
    )
    return render_part(request, UnitChoices(picker=picker))


async def _list_others(
    db: Readable, org_id: UUID, wanted: str, after: str, without: Iterable[UUID | None]
) -> list[UnitPathRow]:
    left_out = [unit for unit in without if unit is not None]
    return await list_units_by_path(db, org_id, wanted, _SHOWN, after=after, without=left_out)


def _parse_id(given: str) -> UUID | None:
    try:
        return UUID(given)
    except ValueError:
        return None
