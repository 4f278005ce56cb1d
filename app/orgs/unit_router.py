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
from app.web.etags import EditedMeanwhile, IfMatch, etag

router = APIRouter(prefix="/v1/orgs/{org_id}/units", route_class=TransactionalRoute, tags=["units"])

Reader = Annotated[OrgScope, Can(Permission.UNITS_READ)]
Writer = Annotated[OrgScope, Can(Permission.UNITS_WRITE)]


@router.get("")
async def list_units(scope: Reader, db: ReadDb, paging: Annotated[Paging, paged_by(str, UUID)]) -> Page[UnitOut]:
    """The units of the org's own tree, each before those under it, siblings in their order."""
    return await queries.list_units(db, scope.org_id, paging)


@router.post("", status_code=201, responses=problems(UnitNameTaken, UnknownUnit, UnitTooDeep))
async def create_unit(scope: Writer, body: UnitCreate, db: WriteDb, response: Response) -> UnitOut:
    """Add a unit (党总支, 党支部, 部门) to the org's own tree."""
    unit_id = await units.create_unit(db, scope, body)
    response.headers["Location"] = f"/v1/orgs/{scope.org_id}/units/{unit_id}"
    return await _read(db, scope, unit_id, response)


@router.get("/{unit_id}")
async def read_unit(scope: Reader, unit_id: UUID, db: ReadDb, response: Response) -> UnitOut:
    """One unit."""
    return await _read(db, scope, unit_id, response)


@router.patch(
    "/{unit_id}",
    responses=problems(EditedMeanwhile, UnitNameTaken, UnknownUnit, UnitUnderItself, UnitTooDeep),
)
async def update_unit(
    scope: Writer, unit_id: UUID, body: UnitUpdate, version: IfMatch, db: WriteDb, response: Response
) -> UnitOut:
    """Rename a unit, move it with all that is under it, or give it another place among its siblings."""
    await units.update_unit(db, scope, unit_id, body, version)
    return await _read(db, scope, unit_id, response)


@router.delete(
    "/{unit_id}", status_code=204, responses=problems(EditedMeanwhile, UnitHasUnits, UnitHasPeople, UnknownUnit)
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
    """Remove a unit that has no units under it. Its people leave first, or are moved along; past days keep them."""
    await units.remove_unit(db, scope, unit_id, move_people_to, version)


@router.post(
    "/{unit_id}/admins",
    status_code=UnitHasNoAdmins.status,
    response_class=Response,
    response_model=None,
    responses=problems(UnitHasNoAdmins),
)
async def create_unit_admin(scope: Writer, unit_id: UUID, db: WriteDb) -> Never:
    """Always refused: only orgs have admins. Add them to the org, or turn the unit into an org of its own."""
    await queries.get_unit(db, scope.org_id, unit_id)
    raise UnitHasNoAdmins


async def _read(db: Readable, scope: OrgScope, unit_id: UUID, response: Response) -> UnitOut:
    unit = await queries.get_unit(db, scope.org_id, unit_id)
    response.headers["ETag"] = etag(unit.version)
    return unit
