"""Routes of transfers of people between orgs (S20), and of moves of a unit's people."""

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
from app.members.transfers import operations, queries, unit_moves
from app.members.transfers.errors import PersonIsHere, PersonTransferDecided, PersonTransferOpen, SameOrg
from app.members.transfers.schemas import (
    MoveCreate,
    MoveOut,
    MovePreviewOut,
    MoveUndo,
    MoveUndoOut,
    PersonTransferAcceptance,
    PersonTransferCreate,
    PersonTransferOut,
    PersonTransferRefusal,
)
from app.orgs.errors import UnknownUnit
from app.web.errors import problems
from app.web.etags import format_etag
from app.web.locations import set_location

router = APIRouter(prefix="/v1/orgs/{org_id}", route_class=TransactionalRoute, tags=["members"])

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]


@router.post(
    "/members/{member_id}/transfers",
    summary="Ask another org to take a member",
    status_code=201,
    responses=problems(UnknownOrg, SameOrg, MemberIsAdmin, PartyMembersOnly, PersonTransferOpen),
)
async def create_person_transfer(
    scope: Writer, member_id: UUID, body: PersonTransferCreate, db: WriteDb, response: Response
) -> PersonTransferOut:
    """An admin requests that another org take a person of this org. The person does not move until an admin of the
    other org accepts, within 30 days. The other org sees the person's name.

    An admin of this org cannot be transferred before they resign. Only one transfer of a person can wait at a time.
    """
    transfer_id = await operations.create_person_transfer(db, scope, member_id, body)
    set_location(response, f"/v1/orgs/{scope.org_id}/person-transfers/{transfer_id}")
    return await queries.get_person_transfer(db, scope.org_id, transfer_id)


@router.get("/person-transfers", summary="List transfers of members")
async def list_person_transfers(
    scope: Reader,
    db: ReadDb,
    paging: Annotated[Paging, paged_by(UUID)],
    direction: Annotated[Literal["out", "in"] | None, Query(description="Only those that leave, or that come.")] = None,
) -> Page[PersonTransferOut]:
    """List the person transfers in which the org takes part, the newest first. They move a person out of the org or
    into it. The list has waiting and finished transfers. The call changes nothing."""
    return await queries.list_person_transfers(db, scope.org_id, paging, direction)


@router.get("/person-transfers/{transfer_id}", summary="Read a transfer of a member")
async def read_person_transfer(scope: Reader, transfer_id: UUID, db: ReadDb) -> PersonTransferOut:
    """Read one transfer of a person, with its state. Only the two orgs can read it. The call changes nothing."""
    return await queries.get_person_transfer(db, scope.org_id, transfer_id)


@router.delete(
    "/person-transfers/{transfer_id}",
    summary="Withdraw a transfer of a member",
    status_code=204,
    responses=problems(PersonTransferDecided),
)
async def withdraw_person_transfer(scope: Writer, transfer_id: UUID, db: WriteDb) -> None:
    """The org that requested the transfer withdraws it while it waits. The person does not move."""
    await operations.withdraw_person_transfer(db, scope, transfer_id)


@router.put(
    "/person-transfers/{transfer_id}/acceptance",
    summary="Accept a member from another org",
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
    """Take the person in, into the units that are named or at the org itself. In the same transaction they leave the
    other org; their account and points stay, and past days keep the units of that time.

    Where the person is in this directory already (409 `person-is-here`), refuse the transfer: nothing needs to
    move.
    """
    units = body.unit_ids if body is not None else []
    member_id = await operations.accept_person_transfer(db, cipher, scope, transfer_id, units)
    member = await get_member(db, cipher, scope.org_id, member_id)
    response.headers["ETag"] = format_etag(member.version)
    return member


@router.put(
    "/person-transfers/{transfer_id}/refusal",
    summary="Refuse a member from another org",
    status_code=204,
    responses=problems(PersonTransferDecided),
)
async def refuse_person_transfer(scope: Writer, transfer_id: UUID, body: PersonTransferRefusal, db: WriteDb) -> None:
    """Refuse, with a reason that the admins of the other org read. The person stays where they are."""
    await operations.refuse_person_transfer(db, scope, transfer_id, body.reason)


@router.post("/moves", summary="Move people of a unit", responses=problems(UnknownUnit))
async def create_move(scope: Writer, body: MoveCreate, db: WriteDb) -> MoveOut:
    """Move people of a unit into another unit, or to the org itself, in one call: all of them, for example before the
    unit is removed, or the named ones. With `units_below` they also leave the units under it. Their other units stay as
    they are.
    """
    moved, _ = await unit_moves.move_people(db, scope, body)
    return moved


@router.post("/moves/previews", summary="Preview a move of people", responses=problems(UnknownUnit))
async def preview_move(scope: Writer, body: MoveCreate, db: WriteDb) -> MovePreviewOut:
    """Read what `POST …/moves` with this body would change now: how many people would leave which units, and where each
    of them is before and after. The call changes nothing.
    """
    return await unit_moves.preview_move(db, scope.org_id, body)


@router.post("/moves/reversals", summary="Undo a move of people")
async def undo_unit_move(scope: Writer, body: MoveUndo, db: WriteDb) -> MoveUndoOut:
    """Return people to the units that a move of the last 24 hours took them out of. A person
    who has left its target since then is not moved.
    """
    return MoveUndoOut(people=await unit_moves.undo_move(db, scope, body))
