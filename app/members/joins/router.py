"""Requests to join an org, over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from app.authz.access import Can, OrgScope, SignedIn
from app.authz.errors import OrgClosed
from app.authz.permissions import Permission
from app.core.cipher import CipherDep
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.errors import PartyMembersOnly, PhoneExists
from app.members.joins import operations, queries
from app.members.joins.errors import (
    AlreadyMember,
    JoinLinkExpired,
    JoinLinkUnknown,
    JoinLinkUsedUp,
    JoinRequestDecided,
    JoinRequestOpen,
    NameNeeded,
    TooManyJoinRequests,
)
from app.members.joins.schemas import (
    JoinAcceptance,
    JoinRefusal,
    JoinRequestCreate,
    JoinRequestOut,
    ReceivedJoinRequestOut,
)
from app.members.links.errors import UnknownOrg
from app.members.queries import get_member
from app.members.schemas import MemberOut
from app.orgs.errors import UnknownUnit
from app.web.errors import TooManyRequests, problems
from app.web.etags import format_etag
from app.web.locations import set_location

router = APIRouter(prefix="/v1", route_class=TransactionalRoute, tags=["members"])

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]


@router.post(
    "/me/join-requests",
    summary="Ask to join an org",
    status_code=201,
    responses=problems(
        UnknownOrg,
        JoinLinkUnknown,
        JoinLinkExpired,
        JoinLinkUsedUp,
        NameNeeded,
        PartyMembersOnly,
        AlreadyMember,
        TooManyJoinRequests,
        TooManyRequests,
        JoinRequestOpen,
    ),
)
async def create_join_request(
    user: SignedIn, body: JoinRequestCreate, db: WriteDb, response: Response
) -> JoinRequestOut:
    """The caller requests to join the directory of an org. The request names the org by a join link, by the org's id,
    or by its full name and region. An admin of the org decides within 30 days. The admin sees the caller's name but
    not the phone.

    A party org takes party members only: other people join the org for people outside the party. A user can have at
    most five waiting requests at a time.
    """
    request_id = await operations.create_join_request(db, user, body)
    set_location(response, f"/v1/me/join-requests/{request_id}")
    return await queries.get_own_join_request(db, user.user_id, request_id)


@router.get("/me/join-requests", summary="My requests to join")
async def list_my_join_requests(
    user: SignedIn, db: ReadDb, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[JoinRequestOut]:
    """List the join requests that the caller has made, the newest first, with their states. The call changes
    nothing."""
    return await queries.list_own_join_requests(db, user.user_id, paging)


@router.get("/me/join-requests/{request_id}", summary="Read my request to join")
async def read_my_join_request(user: SignedIn, request_id: UUID, db: ReadDb) -> JoinRequestOut:
    """Read one join request that the caller has made, with its state. The call changes nothing."""
    return await queries.get_own_join_request(db, user.user_id, request_id)


@router.delete(
    "/me/join-requests/{request_id}",
    summary="Withdraw a request to join",
    status_code=204,
    responses=problems(JoinRequestDecided),
)
async def withdraw_join_request(user: SignedIn, request_id: UUID, db: WriteDb) -> None:
    """The caller withdraws a join request while it waits. Nothing else changes, and the caller can make a new
    request."""
    await operations.withdraw_join_request(db, user, request_id)


@router.get("/orgs/{org_id}/join-requests", summary="Requests to join to decide")
async def list_join_requests(
    scope: Reader, db: ReadDb, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[ReceivedJoinRequestOut]:
    """List the join requests that wait for a decision of the org, the newest first. The call changes nothing."""
    return await queries.list_received_join_requests(db, scope.org_id, paging)


@router.get("/orgs/{org_id}/join-requests/{request_id}", summary="Read a request to join")
async def read_join_request(scope: Reader, request_id: UUID, db: ReadDb) -> ReceivedJoinRequestOut:
    """Read one join request that waits for a decision. If its name is not verified, the person has typed it: check it.
    The call changes nothing."""
    return await queries.get_received_join_request(db, scope.org_id, request_id)


@router.put(
    "/orgs/{org_id}/join-requests/{request_id}/acceptance",
    summary="Accept a request to join",
    responses=problems(JoinRequestDecided, PartyMembersOnly, PhoneExists, UnknownUnit, OrgClosed),
)
async def accept_join_request(
    scope: Writer,
    request_id: UUID,
    db: WriteDb,
    cipher: CipherDep,
    response: Response,
    body: JoinAcceptance | None = None,
) -> MemberOut:
    """The admin accepts the join request and so adds the person to the directory. The new row has the person's phone
    and is active at once. Its name is the person's verified name, or else the name that the person typed.

    If the directory has this phone with another name (409 `phone-exists`), correct that row first. If the directory
    has a row with this phone and this name, no row is added: the existing row gets the units.
    """
    unit_ids = body.unit_ids if body is not None else None
    member_id = await operations.accept_join_request(db, cipher, scope, request_id, unit_ids)
    member = await get_member(db, cipher, scope.org_id, member_id)
    response.headers["ETag"] = format_etag(member.version)
    return member


@router.put(
    "/orgs/{org_id}/join-requests/{request_id}/refusal",
    summary="Refuse a request to join",
    status_code=204,
    responses=problems(JoinRequestDecided),
)
async def refuse_join_request(scope: Writer, request_id: UUID, body: JoinRefusal, db: WriteDb) -> None:
    """The admin refuses the join request, with a reason that the person can read. The directory does not change."""
    await operations.refuse_join_request(db, scope, request_id, body.reason)
