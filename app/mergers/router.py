"""Mergers over HTTP (S20): request, acceptance, refusal."""

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
    """The main admin asks another org to take in all people and units of this one. An admin of the other org decides
    within 30 days; until then nothing moves.

    An org with subordinates is refused: release or transfer them first. An org can have one waiting merger at a time.
    """
    merger_id = await mergers.create_merger(db, scope, body)
    response.headers["Location"] = f"/v1/orgs/{scope.org_id}/mergers/{merger_id}"
    return await _get_merger(request, db, scope, merger_id)


@router.get("", summary="List mergers")
async def list_mergers(scope: Reader, db: ReadDb, paging: Annotated[Paging, paged_by(UUID)]) -> Page[MergerOut]:
    """The mergers that this org has asked for and those into it, the newest first. The call changes nothing."""
    return await queries.list_mergers(db, scope.org_id, paging)


@router.get("/{merger_id}", summary="Read a merger")
async def read_merger(request: Request, scope: Reader, merger_id: UUID, db: ReadDb) -> MergerDetailOut:
    """A merger with what comes with the org now. Both orgs read it before they decide. The call changes nothing."""
    return await _get_merger(request, db, scope, merger_id)


@router.delete(
    "/{merger_id}", summary="Withdraw a merger", status_code=204, responses=problems(MergerDecided, MergerExpired)
)
async def withdraw_merger(scope: Requester, merger_id: UUID, db: WriteDb) -> None:
    """The main admin takes the request back while it waits. Nothing has moved."""
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
    """The receiving org takes the other org in, with the version of the preview that it has read. In one transaction
    the people and units come to this org, to one of its units, or to a new unit, and the other org is closed for good.

    Who is in both orgs keeps the row here and gets the units. Units of one name in one place are refused
    (`unit-names-clash`): take the org in as a new unit. Past days do not change. A repeated call
    changes nothing and gets the same answer.
    """
    await mergers.accept_merger(db, cipher, scope, merger_id, body)
    return await _get_merger(request, db, scope, merger_id)


@router.put(
    "/{merger_id}/refusal", summary="Refuse a merger", status_code=204, responses=problems(MergerDecided, MergerExpired)
)
async def refuse_merger(scope: Decider, merger_id: UUID, body: MergerRefusal, db: WriteDb) -> None:
    """The receiving org declines, with a reason that the other org's admins read. Nothing has moved."""
    await mergers.refuse_merger(db, scope, merger_id, body.reason)


async def _get_merger(request: Request, db: Readable, scope: OrgScope, merger_id: UUID) -> MergerDetailOut:
    return await queries.get_merger(db, scope.org_id, merger_id, suppress_below=SETTINGS.get(request).withhold_below)
