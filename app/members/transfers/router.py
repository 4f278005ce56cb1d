"""People go from org to org, over HTTP (S20): asked by the one, decided by the other; and a unit's people move."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.authz.access import Can, OrgScope
from app.authz.errors import OrgClosed
from app.authz.permissions import Permission
from app.core.cipher import CipherDep
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.errors import MemberIsAdmin, PartyMembersOnly
from app.members.links.errors import UnknownOrg
from app.members.queries import get_member
from app.members.schemas import MemberOut
from app.members.transfers import operations, queries
from app.members.transfers.errors import PersonIsHere, PersonTransferDecided, PersonTransferOpen, SameOrg
from app.members.transfers.schemas import (
    MoveCreate,
    MoveOut,
    PersonTransferAcceptance,
    PersonTransferCreate,
    PersonTransferOut,
    PersonTransferRefusal,
)
from app.members.transfers.unit_moves import move_people
from app.orgs.errors import UnknownUnit
from app.web.errors import problems
from app.web.etags import etag

router = APIRouter(prefix="/v1/orgs/{org_id}", route_class=TransactionalRoute, tags=["members"])

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]


@router.post(
    "/members/{member_id}/transfers",
    status_code=201,
    responses=problems(UnknownOrg, SameOrg, MemberIsAdmin, PartyMembersOnly, PersonTransferOpen),
)
async def create_person_transfer(
    scope: Writer, member_id: UUID, body: PersonTransferCreate, db: WriteDb, response: Response
) -> PersonTransferOut:
    """Ask another org to take this person. They stay until an admin there accepts; the other side sees their name."""
    transfer_id = await operations.create_person_transfer(db, scope, member_id, body)
    response.headers["Location"] = f"/v1/orgs/{scope.org_id}/person-transfers/{transfer_id}"
    return await queries.get_person_transfer(db, scope.org_id, transfer_id)


@router.get("/person-transfers")
async def list_person_transfers(
    scope: Reader,
    db: ReadDb,
    paging: Annotated[Paging, paged_by(UUID)],
    direction: Annotated[Literal["out", "in"] | None, Query(description="Only those that leave, or that come.")] = None,
) -> Page[PersonTransferOut]:
    """People on their way out of the org and into it, and those who were, newest first."""
    return await queries.list_person_transfers(db, scope.org_id, paging, direction)


@router.get("/person-transfers/{transfer_id}")
async def read_person_transfer(scope: Reader, transfer_id: UUID, db: ReadDb) -> PersonTransferOut:
    """One transfer of a person, for the two orgs alone."""
    return await queries.get_person_transfer(db, scope.org_id, transfer_id)


@router.delete("/person-transfers/{transfer_id}", status_code=204, responses=problems(PersonTransferDecided))
async def withdraw_person_transfer(scope: Writer, transfer_id: UUID, db: WriteDb) -> None:
    """Withdraw what this org asked, while it waits."""
    await operations.withdraw_person_transfer(db, scope, transfer_id)


@router.put(
    "/person-transfers/{transfer_id}/acceptance",
    responses=problems(PersonTransferDecided, MemberIsAdmin, PartyMembersOnly, PersonIsHere, UnknownUnit, OrgClosed),
)
async def accept_person_transfer(
    scope: Writer,
    transfer_id: UUID,
    db: WriteDb,
    cipher: CipherDep,
    response: Response,
    body: PersonTransferAcceptance | None = None,
) -> MemberOut:
    """Take the person in, into these units or at the org itself: they leave the other org in the same transaction.
    Their account and points stay; where they stood on past days stays as it was."""
    units = body.unit_ids if body is not None else []
    member_id = await operations.accept_person_transfer(db, cipher, scope, transfer_id, units)
    member = await get_member(db, cipher, scope.org_id, member_id)
    response.headers["ETag"] = etag(member.version)
    return member


@router.put("/person-transfers/{transfer_id}/refusal", status_code=204, responses=problems(PersonTransferDecided))
async def refuse_person_transfer(scope: Writer, transfer_id: UUID, body: PersonTransferRefusal, db: WriteDb) -> None:
    """Refuse, with a reason that the other org's admins read."""
    await operations.refuse_person_transfer(db, scope, transfer_id, body.reason)


@router.post("/moves", status_code=201, responses=problems(UnknownUnit))
async def create_move(scope: Writer, body: MoveCreate, db: WriteDb) -> MoveOut:
    """Move everybody who stands in a unit to another, or to the org itself, at once; their other units stay."""
    return MoveOut(people=await move_people(db, scope, body))
