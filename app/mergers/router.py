"""Routes of mergers (S20): requesting, reading, withdrawing, accepting and refusing a merger."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.authz.access import Can, OrgScope
from app.authz.errors import OrgClosed, RealNameRequired
from app.authz.permissions import Permission
from app.certification.errors import PreviewStale
from app.core.cipher import CipherDep
from app.core.services import SETTINGS
from app.database.db import Readable, ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.errors import PartyMembersOnly
from app.members.links.errors import UnknownOrg
from app.mergers import operations as mergers
from app.mergers import queries
from app.mergers.errors import (
    MergerDecided,
    MergerExpired,
    MergerIntoItself,
    MergerOpen,
    PhoneOfTwoAccounts,
    UnitNamesClash,
)
from app.mergers.schemas import MergerAcceptance, MergerCreate, MergerDetailOut, MergerOut, MergerRefusal
from app.orgs.errors import OrgHasSubordinates, UnitNameTaken, UnitTooDeep, UnknownUnit
from app.web.errors import problems

router = APIRouter(prefix="/v1/orgs/{org_id}/mergers", route_class=TransactionalRoute, tags=["certification"])

Reader = Annotated[OrgScope, Can(Permission.TRANSFERS_READ)]
Requester = Annotated[OrgScope, Can(Permission.TRANSFERS_ASK)]
Decider = Annotated[OrgScope, Can(Permission.TRANSFERS_DECIDE)]


@router.post(
    "",
    summary="Ask to merge into another org",
    status_code=201,
    responses=problems(
        RealNameRequired, UnknownOrg, MergerIntoItself, OrgHasSubordinates, PartyMembersOnly, MergerOpen
    ),
)
async def create_merger(
    request: Request, response: Response, scope: Requester, body: MergerCreate, db: WriteDb
) -> MergerDetailOut:
    """Request that this org merges into another org, which then gets all its people and units. Only the main admin can
    request it. An admin of the other org decides within 30 days; until then nothing moves.

    The call refuses an org with subordinates: release or transfer them first. An org can have one waiting merger at a
    time.
    """
    merger_id = await mergers.create_merger(db, scope, body)
    response.headers["Location"] = f"/v1/orgs/{scope.org_id}/mergers/{merger_id}"
    return await _get_merger(request, db, scope, merger_id)


@router.get("", summary="List mergers")
async def list_mergers(scope: Reader, db: ReadDb, paging: Annotated[Paging, paged_by(UUID)]) -> Page[MergerOut]:
    """List the mergers that this org has requested and the mergers of other orgs into this org, the newest first. The
    call changes nothing."""
    return await queries.list_mergers(db, scope.org_id, paging)


@router.get("/{merger_id}", summary="Read a merger")
async def read_merger(request: Request, scope: Reader, merger_id: UUID, db: ReadDb) -> MergerDetailOut:
    """Read a merger. While it waits, the answer has a preview of the people and units that would move now: read it
    before you decide. The call changes nothing."""
    return await _get_merger(request, db, scope, merger_id)


@router.delete(
    "/{merger_id}", summary="Withdraw a merger", status_code=204, responses=problems(MergerDecided, MergerExpired)
)
async def withdraw_merger(scope: Requester, merger_id: UUID, db: WriteDb) -> None:
    """Withdraw a merger that this org has requested, while it waits. Only the main admin can withdraw it. Nothing has
    moved."""
    await mergers.withdraw_merger(db, scope, merger_id)


@router.put(
    "/{merger_id}/acceptance",
    summary="Accept a merger",
    responses=problems(
        MergerDecided,
        MergerExpired,
        PreviewStale,
        OrgHasSubordinates,
        PartyMembersOnly,
        UnknownUnit,
        UnitNameTaken,
        UnitNamesClash,
        UnitTooDeep,
        PhoneOfTwoAccounts,
        OrgClosed,
    ),
)
async def accept_merger(
    request: Request, scope: Decider, merger_id: UUID, body: MergerAcceptance, db: WriteDb, cipher: CipherDep
) -> MergerDetailOut:
    """Accept a merger of another org into this org, and name the version of the preview that you have read. In one
    transaction, the other org's people and units move to this org itself, to one of its units, or to a new unit, and
    the other org is closed permanently.

    A person who is in both orgs keeps the member row in this org and is added to the units that moved. If units at the
    new place have the same names, the call is refused (`unit-names-clash`): move the other org into a new unit. The
    reports of past days do not change. A repeated call changes nothing and gets the same answer.
    """
    await mergers.accept_merger(db, cipher, scope, merger_id, body)
    return await _get_merger(request, db, scope, merger_id)


@router.put(
    "/{merger_id}/refusal", summary="Refuse a merger", status_code=204, responses=problems(MergerDecided, MergerExpired)
)
async def refuse_merger(scope: Decider, merger_id: UUID, body: MergerRefusal, db: WriteDb) -> None:
    """Decline a merger of another org into this org. The other org's admins read the reason. Nothing has moved."""
    await mergers.refuse_merger(db, scope, merger_id, body.reason)


async def _get_merger(request: Request, db: Readable, scope: OrgScope, merger_id: UUID) -> MergerDetailOut:
    return await queries.get_merger(db, scope.org_id, merger_id, suppress_below=SETTINGS.get(request).withhold_below)
