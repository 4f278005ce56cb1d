"""An org's directory over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.core.cipher import CipherDep
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.database.replica_reads import ReplicaDb
from app.exports.errors import TooManyExports
from app.exports.schemas import ExportOut
from app.idempotency.replay import never_replayed
from app.members import export, member_list, operations, queries, restoration, unit_memberships, unit_order
from app.members.errors import MemberIsAdmin, MemberWithoutPhone, PartyMembersOnly, PhoneExists
from app.members.parameters import MemberListingQuery
from app.members.schemas import (
    CopyCreate,
    MemberCreate,
    MemberExportCreate,
    MemberOut,
    MemberUnitsPut,
    MemberUpdate,
    PhoneDisclosureOut,
    PhoneSearchCreate,
    PhoneSearchOut,
    PositionPut,
    RemovedMemberOut,
)
from app.orgs.errors import UnknownUnit
from app.web.errors import problems
from app.web.etags import REVALIDATED, EditedMeanwhile, IfMatch, format_etag
from app.web.locations import describe_location, set_location

router = APIRouter(prefix="/v1/orgs/{org_id}/members", route_class=TransactionalRoute, tags=["members"])
unit_router = APIRouter(prefix="/v1/orgs/{org_id}/units/{unit_id}", route_class=TransactionalRoute, tags=["members"])

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]


@router.get("", summary="List members")
async def list_members(
    scope: Reader,
    db: ReplicaDb,
    cipher: CipherDep,
    listing: MemberListingQuery,
) -> Page[MemberOut]:
    """List the members of the org, in the order in which they were added, by name, or in the order of a unit. Phones
    are masked. Filter by name, phone, unit or state. Edits never shift a page of the first order.

    The call changes nothing. Only admins of the org itself can read its members: an admin of a superior gets 404.
    """
    return await member_list.list_members(db, cipher, scope.org_id, listing)


@router.post(
    "", summary="Add a member", status_code=201, responses=problems(PhoneExists, PartyMembersOnly, UnknownUnit)
)
async def create_member(
    scope: Writer, body: MemberCreate, db: WriteDb, cipher: CipherDep, response: Response
) -> MemberOut:
    """Add one person by hand, with name, phone and units. Where a registered user has the phone, the row is activated
    at once.

    A phone that is in the directory already is refused (409 `phone-exists`). The answer then has the member and the
    call that copies them into the unit: use that call instead. A person without a mobile phone is added with
    `no_phone`; two such people of one name are two people.
    """
    member = await operations.create_member(db, cipher, scope, body)
    set_location(response, f"/v1/orgs/{scope.org_id}/members/{member.id}")
    return _set_etag(response, member)


@router.post("/phone-searches", summary="Find a member by the whole phone")
async def search_by_phone(
    scope: Writer, body: PhoneSearchCreate, db: WriteDb, cipher: CipherDep, response: Response
) -> PhoneSearchOut:
    """Find the person who has a phone. The number is in the body, because addresses are logged: `q` of the list takes
    its last four digits only.

    No member changes. Each call writes an audit entry with the caller, also if no person of the org has the phone; the
    number is not in it.
    """
    response.headers["Cache-Control"] = "no-store"
    found = await operations.search_by_phone(db, cipher, scope, body.phone)
    return PhoneSearchOut(items=[] if found is None else [found])


@router.get("/removed", summary="List removed members")
async def list_removed_members(
    scope: Reader, db: ReadDb, cipher: CipherDep, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[RemovedMemberOut]:
    """List the members who were removed in the last thirty days. They can be restored with `POST …/restorations`.
    The call changes nothing."""
    return await restoration.list_removed_members(db, cipher, scope.org_id, paging)


@router.post(
    "/exports", summary="Export members", status_code=202, responses=describe_location(202) | problems(TooManyExports)
)
async def create_member_export(
    scope: Writer, body: MemberExportCreate, db: WriteDb, cipher: CipherDep, response: Response
) -> ExportOut:
    """Export the directory, or a part of it, to a file. The answer comes at once, and a job makes the file: read
    the address in `Location` until its state is `done`, then download it.

    Phones are masked. A file with phones in full writes an audit entry, in the same transaction. A user with too
    many exports (409 `too-many-exports`) must delete some first.
    """
    created = await export.create_member_export(db, cipher, scope, body)
    set_location(response, f"/v1/orgs/{scope.org_id}/exports/{created.id}")
    return created


@router.get("/{member_id}", summary="Read a member", responses=REVALIDATED)
async def read_member(scope: Reader, member_id: UUID, db: ReadDb, cipher: CipherDep, response: Response) -> MemberOut:
    """Read one member of the directory, with units and state of activation. The phone is masked. Send the `ETag` back
    to edit or remove the member. The call changes nothing."""
    return _set_etag(response, await queries.get_member(db, cipher, scope.org_id, member_id))


@router.patch(
    "/{member_id}",
    summary="Edit a member",
    responses=problems(PhoneExists, PartyMembersOnly, MemberIsAdmin, EditedMeanwhile),
)
async def update_member(
    scope: Writer,
    member_id: UUID,
    body: MemberUpdate,
    version: IfMatch,
    db: WriteDb,
    cipher: CipherDep,
    response: Response,
) -> MemberOut:
    """Change name, phone or party membership of a row. The account of the person and its points never change by it.

    A new phone links the row to the user who has that phone, if any. After a 412 read the row again, because
    another admin has edited it. The phone of an admin cannot be changed: the main admin removes them as admin
    first.
    """
    return _set_etag(response, await operations.update_member(db, cipher, scope, member_id, body, version))


@router.delete(
    "/{member_id}", summary="Remove a member", status_code=204, responses=problems(MemberIsAdmin, EditedMeanwhile)
)
async def remove_member(scope: Writer, member_id: UUID, version: IfMatch, db: WriteDb) -> None:
    """Take a person out of the directory and out of all units. The account and its points stay, and the person can be
    brought back within thirty days.

    An admin cannot be removed: the main admin removes them as admin first, or they resign.
    """
    await operations.remove_member(db, scope, member_id, version)


@router.post(
    "/{member_id}/restorations", summary="Bring a member back", status_code=201, responses=problems(PhoneExists)
)
async def restore_member(
    scope: Writer, member_id: UUID, db: WriteDb, cipher: CipherDep, response: Response
) -> MemberOut:
    """Bring back a person who was removed in the last thirty days, with the units that they were in and that still
    exist.

    Where the phone is in the directory again under another row, the call is refused (409 `phone-exists`).
    """
    set_location(response, f"/v1/orgs/{scope.org_id}/members/{member_id}")
    return _set_etag(response, await restoration.restore_member(db, cipher, scope, member_id))


@router.put("/{member_id}/units", summary="Set the units of a member", responses=problems(UnknownUnit, EditedMeanwhile))
async def set_units(
    scope: Writer,
    member_id: UUID,
    body: MemberUnitsPut,
    version: IfMatch,
    db: WriteDb,
    cipher: CipherDep,
    response: Response,
) -> MemberOut:
    """Say in one call in which units a person is, and whether they are at the org itself. What is not named ends; past
    days keep the units of that time.

    After a 412 read the member again, because another admin has changed the row.
    """
    return _set_etag(response, await unit_memberships.set_units(db, cipher, scope, member_id, body, version))


@router.put("/{member_id}/units/{unit_id}/position", summary="Set the place of a member in a unit")
async def set_position(
    scope: Writer, member_id: UUID, unit_id: UUID, body: PositionPut, db: WriteDb, cipher: CipherDep, response: Response
) -> MemberOut:
    """Say which place a person has in a unit, for example the secretary (书记) the first. People without a place follow
    by name; `GET …/units/{unit_id}/members` lists all in this order.

    A person who is not in the unit answers 404.
    """
    member = await unit_order.set_position(db, cipher, scope, member_id, unit_id, body.position)
    return _set_etag(response, member)


@router.post(
    "/{member_id}/copies", summary="Copy a member into a unit", status_code=201, responses=problems(UnknownUnit)
)
async def copy_member(
    scope: Writer, member_id: UUID, body: CopyCreate, db: WriteDb, cipher: CipherDep, response: Response
) -> MemberOut:
    """Add one more unit to a person (复制到本组织); the units that they are in already stay. This is also the answer
    to a 409 `phone-exists`.

    A unit that the person is in already changes nothing.
    """
    set_location(response, f"/v1/orgs/{scope.org_id}/members/{member_id}")
    return _set_etag(response, await unit_memberships.copy_member(db, cipher, scope, member_id, body.unit_id))


@router.post("/{member_id}/phone-disclosures", summary="Show a phone in full", responses=problems(MemberWithoutPhone))
@never_replayed
async def disclose_phone(
    scope: Writer, member_id: UUID, db: WriteDb, cipher: CipherDep, response: Response
) -> PhoneDisclosureOut:
    """Show the whole phone of one person, where it is needed, for example to call them. Each call writes an audit
    entry with the caller, in the same transaction.

    The row itself does not change. A person without a mobile phone is refused (409 `member-without-phone`).
    """
    response.headers["Cache-Control"] = "no-store"
    return PhoneDisclosureOut(phone=await operations.disclose_phone(db, cipher, scope, member_id))


@unit_router.get("/members", summary="List the members of a unit")
async def list_members_of_unit(
    scope: Reader,
    unit_id: UUID,
    db: ReplicaDb,
    cipher: CipherDep,
    paging: Annotated[Paging, paged_by(int, str, str, UUID)],
) -> Page[MemberOut]:
    """List the members of one unit, without those of the units under it: first those who have a place in the order of
    the unit, then the others by name. Phones are masked. The call changes nothing."""
    return await unit_order.list_members_of_unit(db, cipher, scope.org_id, unit_id, paging)


def _set_etag(response: Response, member: MemberOut) -> MemberOut:
    response.headers["ETag"] = format_etag(member.version)
    return member
