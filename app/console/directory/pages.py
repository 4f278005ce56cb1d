"""The directory (通讯录): the org's units as a tree, its people as a table with search and filters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.frame.route import ConsoleRoute
from app.console.frame.standing import in_org
from app.console.frame.templates import is_partial, page, part
from app.core.cipher import CipherDep
from app.core.text import has_unshowable
from app.database.db import Readable, ReadDb
from app.database.paging import Page, Paging, paged_by
from app.members.queries import MemberFilter, count_members, list_members
from app.members.schemas import MemberOut
from app.orgs.queries import get_unit
from app.orgs.unit_queries import UnitPathRow, list_child_units, list_unit_chain, list_units_by_path

router = APIRouter(prefix="/console/orgs/{org_id}", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
UnitReader = Annotated[OrgScope, Can(Permission.UNITS_READ)]
Choice = Literal["", "yes", "no"]
_UNITS = 500
_FOUND = 30


@dataclass(frozen=True, slots=True)
class Asked:
    """What the filter form asks for; an empty choice asks for all."""

    q: str
    unit: UUID | None
    at_org: bool
    active: Choice
    party: Choice
    verified: Choice

    @classmethod
    async def of(
        cls,
        q: Annotated[str, Query(max_length=50)] = "",
        unit: UUID | Literal["", "org"] = "",
        active: Choice = "",
        party: Choice = "",
        verified: Choice = "",
    ) -> Self:
        return cls(q.strip(), unit if isinstance(unit, UUID) else None, unit == "org", active, party, verified)

    @property
    def filter(self) -> MemberFilter:
        return MemberFilter(
            q=self.q or None,
            unit_id=self.unit,
            units_below=True,
            at_org=True if self.at_org else None,
            active=_truth(self.active),
            party=_truth(self.party),
            verified=_truth(self.verified),
        )

    @property
    def place(self) -> str:
        """The choice in the tree, as the address names it."""
        return str(self.unit) if self.unit else "org" if self.at_org else ""

    @property
    def narrows(self) -> bool:
        """Whether more is asked than a place in the tree."""
        return bool(self.q or self.active or self.party or self.verified)

    def query(self, **more: str) -> str:
        """The same as a query string, the cursor or whatever else added."""
        asked = {"q": self.q, "unit": self.place, "active": self.active, "party": self.party}
        return urlencode({name: value for name, value in {**asked, "verified": self.verified, **more}.items() if value})


AskedFor = Annotated[Asked, Depends(Asked.of)]


def _truth(choice: Choice) -> bool | None:
    return None if not choice else choice == "yes"


COUNTED = 10_000


async def _count(db: Readable, cipher: CipherDep, scope: OrgScope, wanted: MemberFilter) -> int | str:
    """How many people are asked for; of a filter exactly up to COUNTED, so that a page costs what it shows."""
    everybody = wanted == MemberFilter()
    count = await count_members(db, cipher, scope.org_id, wanted, most=None if everybody else COUNTED)
    return count if everybody or count <= COUNTED else f"{COUNTED:,}+"


@router.get("/members")
async def show_directory(
    request: Request,
    db: ReadDb,
    cipher: CipherDep,
    scope: Reader,
    asked: AskedFor,
    paging: Annotated[Paging, paged_by(UUID)],
) -> Response:
    """The whole page; for a part: the people of the place that was chosen, or the next ones of the same."""
    unit = await get_unit(db, scope.org_id, asked.unit) if asked.unit else None
    people: dict[str, Any] = {"members": Page[MemberOut](items=[]), "count": 0}
    if not has_unshowable(asked.q):
        people = {
            "members": await list_members(db, cipher, scope.org_id, asked.filter, paging),
            "count": await _count(db, cipher, scope, asked.filter) if paging.after is None else 0,
        }
    shown = {**in_org(scope, "members"), **people, "asked": asked, "unit": unit}
    if not is_partial(request):
        chain = await list_unit_chain(db, scope.org_id, asked.unit) if asked.unit else []
        return page(request, "directory/directory.html", **shown, **await _open_tree(db, scope.org_id, chain))
    if paging.after is not None:
        return page(request, "directory/directory_rows.html", **shown)
    part = (
        "directory/directory_people.html"
        if request.headers.get("hx-target") == "people"
        else "directory/directory_table.html"
    )
    return page(request, part, **shown)


@router.get("/units")
async def show_units(
    request: Request,
    db: ReadDb,
    scope: UnitReader,
    parent: UUID | None = None,
    unit: UUID | Literal["", "org"] = "",
) -> Response:
    """The units under one; the whole tree, opened down to a unit, where it is read anew."""
    shown: dict[str, Any] = {
        **in_org(scope, "members"),
        "asked": Asked("", None, at_org=False, active="", party="", verified=""),
    }
    if parent is not None:
        units = await list_child_units(db, scope.org_id, parent, _UNITS)
        return part(request, "units/unit_level.html", **shown, units=units, levels={}, chain=[])
    chain = await list_unit_chain(db, scope.org_id, unit) if isinstance(unit, UUID) else []
    chosen = await Asked.of(unit=unit)
    return part(
        request, "units/unit_tree.html", **(shown | {"asked": chosen}), **await _open_tree(db, scope.org_id, chain)
    )


@router.get("/units/found")
async def find_units(
    request: Request, db: ReadDb, scope: UnitReader, wanted: Annotated[str, Query(max_length=50)] = ""
) -> Response:
    """Units by a part of their path, as it is typed."""
    units: Sequence[UnitPathRow] = []
    if wanted.strip() and not has_unshowable(wanted):
        units = await list_units_by_path(db, scope.org_id, wanted.strip(), _FOUND)
    return part(request, "units/units_found.html", **in_org(scope, "members"), units=units, wanted=wanted)


async def _open_tree(db: Readable, org_id: UUID, chain: Sequence[UUID]) -> dict[str, Any]:
    """The first level of units, and the levels under the units of a chain."""
    levels = {unit: await list_child_units(db, org_id, unit, _UNITS) for unit in chain}
    return {"units": await list_child_units(db, org_id, None, _UNITS), "levels": levels, "chain": list(chain)}
