"""Units inside an org over HTTP (S7, S10, S11)."""

from typing import Annotated, Never
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.database.db import Readable, ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.orgs import queries, units
from app.orgs.errors import (
    LastDayMismatch,
    UnitHasNoAdmins,
    UnitHasPeople,
    UnitHasUnits,
    UnitNameTaken,
    UnitTooDeep,
    UnitUnderItself,
    UnknownUnit,
)
from app.orgs.unit_schemas import UnitCreate, UnitOut, UnitUpdate
from app.web.errors import problems
from app.web.etags import REVALIDATED, EditedMeanwhile, IfMatch, format_etag
from app.web.locations import set_location

router = APIRouter(prefix="/v1/orgs/{org_id}/units", route_class=TransactionalRoute, tags=["units"])

Reader = Annotated[OrgScope, Can(Permission.UNITS_READ)]
Writer = Annotated[OrgScope, Can(Permission.UNITS_WRITE)]


@router.get("", summary="List the units")
async def list_units(scope: Reader, db: ReadDb, paging: Annotated[Paging, paged_by(str, UUID)]) -> Page[UnitOut]:
    """List the units of the org as a tree: each unit comes before the units under it, and siblings are in their order.
    Read the list to show the tree or to choose units for a person.

    The call changes nothing. Only admins of the org can read the list.
    """
    return await queries.list_units(db, scope.org_id, paging)


@router.post(
    "",
    summary="Add a unit",
    status_code=201,
    responses=problems(UnitNameTaken, UnknownUnit, UnitTooDeep, LastDayMismatch),
)
async def create_unit(scope: Writer, body: UnitCreate, db: WriteDb, response: Response) -> UnitOut:
    """Add a unit (党总支, 党支部, 党小组, 临时党支部, 部门) to the tree, at the top or under another unit. A short name
    is allowed.

    The tree has six levels at most, and siblings have different names. A large branch is better an org of its own:
    offer it with `POST …/promotions`. A temporary branch has a last day. After it the branch is shown as ended and the
    admins get a message; its people stay in it until an admin moves them or removes it.
    """
    unit_id = await units.create_unit(db, scope, body)
    set_location(response, f"/v1/orgs/{scope.org_id}/units/{unit_id}")
    return await _get_unit(db, scope, unit_id, response)


@router.get("/{unit_id}", summary="Read a unit", responses=REVALIDATED)
async def read_unit(scope: Reader, unit_id: UUID, db: ReadDb, response: Response) -> UnitOut:
    """Name, kind and place of one unit. The call changes nothing. Keep the `ETag` to edit or remove the unit."""
    return await _get_unit(db, scope, unit_id, response)


@router.patch(
    "/{unit_id}",
    summary="Edit or move a unit",
    responses=problems(EditedMeanwhile, UnitNameTaken, UnknownUnit, UnitUnderItself, UnitTooDeep, LastDayMismatch),
)
async def update_unit(
    scope: Writer, unit_id: UUID, body: UnitUpdate, version: IfMatch, db: WriteDb, response: Response
) -> UnitOut:
    """Rename a unit, move it with everything under it, or give it another place among its siblings. Its people stay in
    it.

    A unit cannot be moved under itself, nor below the sixth level. After a 412 read the unit again, because
    another admin has edited it.
    """
    await units.update_unit(db, scope, unit_id, body, version)
    return await _get_unit(db, scope, unit_id, response)


@router.delete(
    "/{unit_id}",
    summary="Remove a unit",
    status_code=204,
    responses=problems(EditedMeanwhile, UnitHasUnits, UnitHasPeople, UnknownUnit),
)
async def remove_unit(
    scope: Writer,
    unit_id: UUID,
    version: IfMatch,
    db: WriteDb,
    move_people_to: Annotated[
        UUID | None, Query(description="The unit that its people move to; without it they must have left.")
    ] = None,
) -> None:
    """Remove a unit that has no units under it. Its people must leave first, or `move_people_to` names the unit that
    they move to in the same call.

    What was true on past days stays in the reports of those days.
    """
    await units.remove_unit(db, scope, unit_id, move_people_to, version)


@router.post(
    "/{unit_id}/admins",
    status_code=UnitHasNoAdmins.status,
    response_class=Response,
    response_model=None,
    include_in_schema=False,  # it never succeeds; the introductions of units and admins say why
)
async def create_unit_admin(scope: Writer, unit_id: UUID, db: WriteDb) -> Never:
    """Refuse to make a person an admin of a unit: only orgs have admins. The call exists to explain this. The call
    changes nothing.

    Invite the person as an admin of the org (`POST …/admin-invitations`), or turn the unit into an org of its own
    (`POST …/promotions`).
    """
    await queries.get_unit(db, scope.org_id, unit_id)
    raise UnitHasNoAdmins


async def _get_unit(db: Readable, scope: OrgScope, unit_id: UUID, response: Response) -> UnitOut:
    unit = await queries.get_unit(db, scope.org_id, unit_id)
    response.headers["ETag"] = format_etag(unit.version)
    return unit
