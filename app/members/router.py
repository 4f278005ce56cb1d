"""An org's directory over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.core.cipher import CipherDep
from app.core.text import SearchText
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.exports.errors import TooManyExports
from app.exports.schemas import ExportOut
from app.members import export, operations, queries, restoration, unit_memberships
from app.members.errors import MemberIsAdmin, PartyMembersOnly, PhoneExists
from app.members.queries import MemberFilter
from app.members.schemas import (
    CopyCreate,
    MemberCreate,
    MemberExportCreate,
    MemberOut,
    MemberUnitsPut,
    MemberUpdate,
    PhoneDisclosureOut,
    RemovedMemberOut,
)
from app.orgs.errors import UnknownUnit
from app.web.errors import problems
from app.web.etags import EditedMeanwhile, IfMatch, etag

router = APIRouter(prefix="/v1/orgs/{org_id}/members", route_class=TransactionalRoute, tags=["members"])

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]


async def _filter(
    q: Annotated[
        SearchText | None,
        Query(description="Characters of the name, its pinyin or initials, or the last four digits of the phone."),
    ] = None,
    unit_id: Annotated[UUID | None, Query(description="A member of this unit.")] = None,
    units_below: Annotated[bool, Query(description="With `unit_id`: or in a unit under it.")] = False,
    at_org: Annotated[bool | None, Query(description="Placed at the org itself, or not.")] = None,
    active: Annotated[bool | None, Query(description="Active, or 未激活.")] = None,
    party: Annotated[bool | None, Query(description="In the party, or not.")] = None,
    verified: Annotated[bool | None, Query(description="Real name verified, or not.")] = None,
) -> MemberFilter:
    return MemberFilter(q, unit_id, units_below, at_org, active, party, verified)


@router.get("")
async def list_members(
    scope: Reader,
    db: ReadDb,
    cipher: CipherDep,
    wanted: Annotated[MemberFilter, Depends(_filter)],
    paging: Annotated[Paging, paged_by(UUID)],
) -> Page[MemberOut]:
    """The org's people, phones masked, in the order in which they were added: edits never shift a page."""
    return await queries.list_members(db, cipher, scope.org_id, wanted, paging)


@router.post("", status_code=201, responses=problems(PhoneExists, PartyMembersOnly, UnknownUnit))
async def create_member(
    scope: Writer, body: MemberCreate, db: WriteDb, cipher: CipherDep, response: Response
) -> MemberOut:
    """Add a person by hand. A known phone is a 409 that carries the person and the copy action."""
    member = await operations.create_member(db, cipher, scope, body)
    response.headers["Location"] = f"/v1/orgs/{scope.org_id}/members/{member.id}"
    return _tagged(response, member)


@router.get("/removed")
async def list_removed_members(
    scope: Reader, db: ReadDb, cipher: CipherDep, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[RemovedMemberOut]:
    """Who was removed in the last thirty days and can be brought back."""
    return await restoration.list_removed_members(db, cipher, scope.org_id, paging)


@router.post("/exports", status_code=202, responses=problems(TooManyExports))
async def create_member_export(
    scope: Writer, body: MemberExportCreate, db: WriteDb, cipher: CipherDep, response: Response
) -> ExportOut:
    """Have the directory, or some of it, made into a file by a job; `Location` says where to ask how far it is.

    Phones are masked; whole ones are audited in the same transaction, as one shown by itself is."""
    made = await export.create_member_export(db, cipher, scope, body)
    response.headers["Location"] = f"/v1/orgs/{scope.org_id}/exports/{made.id}"
    return made


@router.get("/{member_id}")
async def read_member(scope: Reader, member_id: UUID, db: ReadDb, cipher: CipherDep, response: Response) -> MemberOut:
    """One person of the directory."""
    return _tagged(response, await queries.get_member(db, cipher, scope.org_id, member_id))


@router.patch("/{member_id}", responses=problems(PhoneExists, PartyMembersOnly, MemberIsAdmin, EditedMeanwhile))
async def update_member(
    scope: Writer,
    member_id: UUID,
    body: MemberUpdate,
    version: IfMatch,
    db: WriteDb,
    cipher: CipherDep,
    response: Response,
) -> MemberOut:
    """Edit name, phone or party flag. The account and its points never change by it."""
    return _tagged(response, await operations.update_member(db, cipher, scope, member_id, body, version))


@router.delete("/{member_id}", status_code=204, responses=problems(MemberIsAdmin, EditedMeanwhile))
async def remove_member(scope: Writer, member_id: UUID, version: IfMatch, db: WriteDb) -> None:
    """Take a person out of the directory. The account and its points stay."""
    await operations.remove_member(db, scope, member_id, version)


@router.post("/{member_id}/restorations", status_code=201, responses=problems(PhoneExists))
async def restore_member(
    scope: Writer, member_id: UUID, db: WriteDb, cipher: CipherDep, response: Response
) -> MemberOut:
    """Bring back a person who was removed less than thirty days ago, to where they stood."""
    return _tagged(response, await restoration.restore_member(db, cipher, scope, member_id))


@router.put("/{member_id}/units", responses=problems(UnknownUnit, EditedMeanwhile))
async def set_units(
    scope: Writer,
    member_id: UUID,
    body: MemberUnitsPut,
    version: IfMatch,
    db: WriteDb,
    cipher: CipherDep,
    response: Response,
) -> MemberOut:
    """Set the units a person stands in, all in one call."""
    return _tagged(response, await unit_memberships.set_units(db, cipher, scope, member_id, body, version))


@router.post("/{member_id}/copies", status_code=201, responses=problems(UnknownUnit))
async def copy_member(
    scope: Writer, member_id: UUID, body: CopyCreate, db: WriteDb, cipher: CipherDep, response: Response
) -> MemberOut:
    """Copy a person into one unit more (复制到本组织); where they stand stays as it is."""
    return _tagged(response, await unit_memberships.copy_member(db, cipher, scope, member_id, body.unit_id))


@router.post("/{member_id}/phone-disclosures", status_code=201)
async def disclose_phone(
    scope: Writer, member_id: UUID, db: WriteDb, cipher: CipherDep, response: Response
) -> PhoneDisclosureOut:
    """Show a phone number whole. It is audited in the same transaction."""
    response.headers["Cache-Control"] = "no-store"
    return PhoneDisclosureOut(phone=await operations.disclose_phone(db, cipher, scope, member_id))


def _tagged(response: Response, member: MemberOut) -> MemberOut:
    response.headers["ETag"] = etag(member.version)
    return member
