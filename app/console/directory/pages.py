"""The directory (通讯录): a tree of the org's units and a table of its people with search and filters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import OptionalId, PageForm, validate_fields
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import is_partial, render_page, render_part
from app.core.cipher import CipherDep
from app.core.text import contains_refused_characters
from app.database.db import Readable, ReadDb, WriteDb
from app.database.paging import CursorQuery, LimitQuery, Page
from app.members.member_list import MemberFilter, MemberListing, count_members, list_members, read_member_paging
from app.members.operations import search_by_phone
from app.members.schemas import MemberOrder, MemberOut, PhoneSearchCreate
from app.orgs.queries import get_unit
from app.orgs.unit_queries import ChildUnitRow, UnitPathRow, list_child_units, list_unit_chain, list_units_by_path
from app.orgs.unit_schemas import UnitOut
from app.web.errors import Invalid

router = APIRouter(prefix="/console/orgs/{org_id}", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]
UnitReader = Annotated[OrgScope, Can(Permission.UNITS_READ)]
Choice = Literal["", "yes", "no"]
_UNITS = 500
_FOUND = 30


@dataclass(frozen=True, slots=True)
class DirectoryFilterForm:
    """The values of the filter form. An empty value does not filter."""

    q: str
    unit: UUID | None
    at_org: bool
    active: Choice
    party: Choice
    verified: Choice

    @classmethod
    async def from_query(
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
            active=_parse_choice(self.active),
            party=_parse_choice(self.party),
            verified=_parse_choice(self.verified),
        )

    @property
    def order(self) -> MemberOrder:
        """Return the order of the table: in a unit by place (书记 first), elsewhere by name."""
        return MemberOrder.POSITION if self.unit else MemberOrder.NAME

    @property
    def unit_choice(self) -> str:
        """Return the choice in the unit tree as the query string has it: a unit's id, `org`, or empty."""
        return str(self.unit) if self.unit else "org" if self.at_org else ""

    @property
    def has_filters_besides_unit(self) -> bool:
        """Return whether at least one filter other than the unit has a value."""
        return bool(self.q or self.active or self.party or self.verified)

    def build_query(self, **changed: str) -> str:
        """Return the values as a query string, with `more` added, such as the cursor."""
        filters = {"q": self.q, "unit": self.unit_choice, "active": self.active, "party": self.party}
        return urlencode(
            {name: value for name, value in {**filters, "verified": self.verified, **changed}.items() if value}
        )


DirectoryFilters = Annotated[DirectoryFilterForm, Depends(DirectoryFilterForm.from_query)]


def _parse_choice(choice: Choice) -> bool | None:
    return None if not choice else choice == "yes"


COUNTED = 10_000


async def _count_people(db: Readable, cipher: CipherDep, scope: OrgScope, wanted: MemberFilter) -> int | str:
    """Return the number of people that match the filter. The number is exact up to COUNTED; to count further would cost
    too much."""
    is_unfiltered = wanted == MemberFilter()
    count = await count_members(db, cipher, scope.org_id, wanted, limit=None if is_unfiltered else COUNTED)
    return count if is_unfiltered or count <= COUNTED else f"{COUNTED:,}+"


class DirectoryRows(FrameContext, template="directory/directory_rows.html"):
    filters: DirectoryFilterForm
    members: Page[MemberOut]


class DirectoryTable(DirectoryRows, template="directory/directory_table.html"):
    count: int | str
    by_phone: bool = False
    """Whether the person who has a phone was wanted, and not the people of the filters."""


class DirectoryPeople(DirectoryTable, template="directory/directory_people.html"):
    """The people with their filters, and the viewed unit."""

    unit: UnitOut | None


class UnitLevel(FrameContext, template="directory/unit_level.html"):
    """The units of one level, and the levels under the units that are open, by the unit's id."""

    filters: DirectoryFilterForm
    units: Sequence[ChildUnitRow]
    levels: Mapping[UUID, Sequence[ChildUnitRow]]


class UnitTree(UnitLevel, template="directory/unit_tree.html"):
    pass


class DirectoryPage(DirectoryPeople, UnitTree, template="directory/directory.html"):
    pass


class UnitsFound(FrameContext, template="directory/units_found.html"):
    units: Sequence[UnitPathRow]
    wanted: str


@router.get("/members")
async def show_directory(
    request: Request,
    db: ReadDb,
    cipher: CipherDep,
    scope: Reader,
    filters: DirectoryFilters,
    limit: LimitQuery = 50,
    cursor: CursorQuery = None,
) -> Response:
    """Show the whole page. A partial request gets the people of the chosen unit, or the next page of them."""
    unit = await get_unit(db, scope.org_id, filters.unit) if filters.unit else None
    frame, members = build_org_frame(scope, "members"), Page[MemberOut](items=[])
    count: int | str = 0
    paging = read_member_paging(filters.order, limit, cursor)
    if not contains_refused_characters(filters.q):
        listing = MemberListing(filters.filter, filters.order, paging)
        members = await list_members(db, cipher, scope.org_id, listing)
        count = await _count_people(db, cipher, scope, filters.filter) if paging.after is None else 0
    if not is_partial(request):
        chain = await list_unit_chain(db, scope.org_id, filters.unit) if filters.unit else []
        first, levels = await _load_levels(db, scope.org_id, chain)
        page = DirectoryPage(
            frame=frame, filters=filters, unit=unit, units=first, levels=levels, members=members, count=count
        )
        return render_page(request, page)
    if paging.after is not None:
        return render_page(request, DirectoryRows(frame=frame, filters=filters, members=members))
    if request.headers.get("hx-target") == "people":
        people = DirectoryPeople(frame=frame, filters=filters, unit=unit, members=members, count=count)
        return render_page(request, people)
    return render_page(request, DirectoryTable(frame=frame, filters=filters, members=members, count=count))


@router.post("/members/phone-searches")
async def search_phone(request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, form: PageForm) -> Response:
    """Show the person of the org who has the typed phone. The search is audited. A text that is not a phone gives an
    empty list and no audit entry. The filters do not apply, and the address of the page has none."""
    body = validate_fields(PhoneSearchCreate, {"phone": form.get("q", "")})
    found = None if isinstance(body, ValidationError) else await search_by_phone(db, cipher, scope, body.phone)
    members = Page[MemberOut](items=[] if found is None else [found])
    frame, filters = build_org_frame(scope, "members"), await DirectoryFilterForm.from_query()
    count = len(members.items)
    table = DirectoryTable(frame=frame, filters=filters, members=members, count=count, by_phone=True)
    response = render_part(request, table)
    response.headers["HX-Replace-Url"] = f"/console/orgs/{scope.org_id}/members"
    return response


@router.get("/units")
async def show_units(
    request: Request,
    db: ReadDb,
    scope: UnitReader,
    parent: OptionalId = None,
    unit: UUID | Literal["", "org"] = "",
    after: Annotated[str, Query(max_length=60)] = "",
) -> Response:
    """Show the units under `parent`. Without `parent`, show the top of the tree, with the path down to `unit`
    opened. With `after`, show the units that follow, under `parent` or directly under the org."""
    frame, filters = build_org_frame(scope, "members"), await DirectoryFilterForm.from_query(unit=unit)
    if after:
        units = await list_child_units(db, scope.org_id, parent, _UNITS, _parse_place(after))
        return render_part(request, UnitLevel(frame=frame, filters=filters, units=units, levels={}))
    if parent is not None:
        units = await list_child_units(db, scope.org_id, parent, _UNITS)
        return render_part(request, UnitLevel(frame=frame, filters=filters, units=units, levels={}))
    chain = await list_unit_chain(db, scope.org_id, unit) if isinstance(unit, UUID) else []
    first, levels = await _load_levels(db, scope.org_id, chain)
    return render_part(request, UnitTree(frame=frame, filters=filters, units=first, levels=levels))


@router.get("/units/found")
async def find_units(
    request: Request, db: ReadDb, scope: UnitReader, wanted: Annotated[str, Query(max_length=50)] = ""
) -> Response:
    """Show the units whose path matches the typed text."""
    units: Sequence[UnitPathRow] = []
    if wanted.strip() and not contains_refused_characters(wanted):
        units = await list_units_by_path(db, scope.org_id, wanted.strip(), _FOUND)
    return render_part(request, UnitsFound(frame=build_org_frame(scope, "members"), units=units, wanted=wanted))


async def _load_levels(
    db: Readable, org_id: UUID, chain: Sequence[UUID]
) -> tuple[Sequence[ChildUnitRow], Mapping[UUID, Sequence[ChildUnitRow]]]:
    """Return the first level of units, and the levels under the units of the chain."""
    first = await list_child_units(db, org_id, None, _UNITS)
    return first, {unit: await list_child_units(db, org_id, unit, _UNITS) for unit in chain}


def _parse_place(after: str) -> tuple[int, UUID]:
    """Return the position and id of the last unit that is shown. Raises Invalid."""
    position, _, unit = after.partition("_")
    try:
        return int(position), UUID(unit)
    except ValueError:
        raise Invalid from None
