"""Creating, editing and closing an org over HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response

from app.admins.errors import ChangeRequestOpen, ChangeRequestStale, MainAdminOnly
from app.authz.access import AsFounder, Can, OrgScope
from app.authz.errors import OrgClosed, RealNameRequired
from app.authz.permissions import Permission
from app.core.cipher import CipherDep
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.org_lifecycle import closing_reversal, closure, operations, release
from app.org_lifecycle import queries as closure_queries
from app.org_lifecycle.schemas import ClosureOut
from app.orgs import queries
from app.orgs.advice import build_advice, list_level_advice, list_name_advice
from app.orgs.errors import (
    NameKindMismatch,
    NameSuffixTyped,
    NameUnshowable,
    OrgHasSubordinates,
    OrgMerged,
    PartyMemberRequired,
    ReopeningTooLate,
    SiblingNameTaken,
    UnknownRegion,
)
from app.orgs.schemas import OrgCreate, OrgCreated, OrgOut, OrgUpdate, OrgUpdated
from app.web.errors import problems
from app.web.etags import EditedMeanwhile, IfMatch, format_etag
from app.web.locations import LOCATION_REF, set_location

router = APIRouter(prefix="/v1", route_class=TransactionalRoute)

Writer = Annotated[OrgScope, Can(Permission.ORG_WRITE)]
Closer = Annotated[OrgScope, Can(Permission.ORG_CLOSE)]
Reopener = Annotated[OrgScope, Can(Permission.ORG_REOPEN)]
ChangesReader = Annotated[OrgScope, Can(Permission.CHANGES_READ)]
Certifier = Annotated[OrgScope, Can(Permission.CERTIFICATION_WRITE)]


@router.post(
    "/orgs",
    summary="Create an org",
    status_code=201,
    tags=["orgs"],
    responses=problems(
        RealNameRequired, PartyMemberRequired, UnknownRegion, NameSuffixTyped, NameKindMismatch, NameUnshowable
    ),
)
async def create_org(
    response: Response, user: AsFounder, body: OrgCreate, db: WriteDb, cipher: CipherDep
) -> OrgCreated:
    """Create an org of one's own, with a name and the code of a region. The caller becomes its main admin, and needs a
    verified real name; for an org of the party also the declaration of party membership.

    The org has no superior until one certifies it. A user cannot create an org for another user: have the org's own
    admin create it, then certify it.
    """
    org_id = await operations.create_org(db, cipher, user, body)
    advice = await list_name_advice(db, body.name, body.region_code, org_id=org_id)
    advice += await list_level_advice(db, user.user_id)
    card = await queries.get_card(db, org_id)
    set_location(response, f"/v1/orgs/{org_id}")
    response.headers["ETag"] = format_etag(card.version)
    return OrgCreated.from_card(card, advice=build_advice(advice))


ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {
        "model": OrgUpdated,
        "description": "The new name waits for the superior's consent. `Location` is the address of the request.",
        "headers": {"Location": LOCATION_REF},
    }
}


@router.patch(
    "/orgs/{org_id}",
    summary="Edit an org",
    tags=["orgs"],
    responses=ACCEPTED
    | problems(
        EditedMeanwhile,
        UnknownRegion,
        NameSuffixTyped,
        NameKindMismatch,
        NameUnshowable,
        SiblingNameTaken,
        ChangeRequestOpen,
        ChangeRequestStale,
    ),
)
async def update_org(response: Response, scope: Writer, body: OrgUpdate, version: IfMatch, db: WriteDb) -> OrgUpdated:
    """Change the name or the region of an org. Without a superior everything takes effect at once (200). With one, a
    new name becomes a change request that the superior decides (202), and the old name stays until then.

    If another person has edited the org since it was read (412 `edited-meanwhile`), get it again, check what has
    changed, and repeat the edit with the new `ETag`. Another new name can be requested once the first is decided or
    withdrawn.
    """
    change_request_id = await operations.update_org(db, scope, body, version)
    if change_request_id is not None:
        response.status_code = 202
        set_location(response, f"/v1/orgs/{scope.org_id}/change-requests/{change_request_id}")
    card = await queries.get_card(db, scope.org_id)
    name = body.name or card.name
    advice = await list_name_advice(db, name, card.region_code, org_id=scope.org_id) if body.name is not None else []
    advice += await list_level_advice(db, scope.user.user_id) if body.region_code is not None else []
    response.headers["ETag"] = format_etag(card.version)
    return OrgUpdated.from_card(card, advice=build_advice(advice), change_request_id=change_request_id)


REQUESTED: dict[int | str, dict[str, Any]] = {
    202: {"model": ClosureOut, "description": "The closing is requested. The main admin decides."}
}


@router.put(
    "/orgs/{org_id}/closure",
    summary="Close an org",
    tags=["orgs"],
    response_model=OrgOut | ClosureOut,
    responses=REQUESTED | problems(EditedMeanwhile, OrgHasSubordinates, OrgClosed),
)
async def close_org(response: Response, scope: Closer, version: IfMatch, db: WriteDb) -> OrgOut | ClosureOut:
    """The main admin closes an org at once (200). If another admin had requested the closing, this accepts that
    request. If the caller is another admin, the call only requests the closing (202), and the main admin decides
    within 30 days.

    A closed org has no superior, and every request that waits in it ends. Its card, units, reports and history can
    still be read. The main admin can undo the closing for 7 days with `DELETE …/closure`. An org with subordinates
    cannot be closed: release or transfer them first. A repeated call changes nothing and gets the same answer.
    """
    if not await closure.request_closing(db, scope, version):
        response.status_code = 202
        requested = await closure_queries.find_newest_closing(db, scope.org_id)
        assert requested is not None  # this transaction has inserted it
        return requested
    card = await queries.get_card(db, scope.org_id)
    response.headers["ETag"] = format_etag(card.version)
    return OrgOut.from_card(card)


@router.get("/orgs/{org_id}/closures", summary="List the closings of an org", tags=["orgs"])
async def list_closings(
    scope: ChangesReader, db: ReadDb, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[ClosureOut]:
    """List the closings of the org, the newest first. A closing is a request that waits for the main admin, a request
    that has ended, or a closing that took place, with the time until which it can be undone. The call changes
    nothing."""
    return await closure_queries.list_closings(db, scope.org_id, paging)


@router.delete(
    "/orgs/{org_id}/closure",
    summary="Take the closing of an org back",
    tags=["orgs"],
    responses=problems(EditedMeanwhile, MainAdminOnly, ReopeningTooLate, OrgMerged),
)
async def take_back_closing(response: Response, scope: Reopener, version: IfMatch, db: WriteDb) -> OrgOut:
    """An admin withdraws the request to close the org, or the main admin declines it. For 7 days after the org was
    closed, the main admin opens it again with this call.

    An org that is opened again returns to its former superior, unless that superior is closed or now has a subordinate
    with this name; then the org has no superior (`superior_id`). Invitations and requests that the closing ended do
    not return. An org that has merged into another one stays closed.
    """
    await closing_reversal.take_back_closing(db, scope, version)
    card = await queries.get_card(db, scope.org_id)
    response.headers["ETag"] = format_etag(card.version)
    return OrgOut.from_card(card)


@router.delete(
    "/orgs/{org_id}/subordinates/{subordinate_id}",
    summary="Release a subordinate",
    status_code=204,
    tags=["certification"],
)
async def release_subordinate(scope: Certifier, subordinate_id: UUID, db: WriteDb) -> None:
    """The superior ends the certification of a direct subordinate. The subordinate then has no superior, and from
    today it does not count in the superior's totals. Its own subordinates remain under it.

    A new name or a hand-over that the subordinate has requested takes effect now. To be certified again, the org
    applies with an invitation.
    """
    await release.release_subordinate(db, scope, subordinate_id)
