"""Routes of link requests (S18): request, decision, and undoing a link."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from app.authz.access import Can, OrgScope, SignedIn
from app.authz.errors import OrgClosed, RealNameRequired
from app.authz.permissions import Permission
from app.core.cipher import CipherDep
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.errors import MemberIsAdmin
from app.members.links import operations, queries
from app.members.links.errors import (
    AlreadyInDirectory,
    LinkRequestDecided,
    LinkRequestOpen,
    NoCandidate,
    SeveralCandidates,
    TooManyLinkRequests,
    UnknownOrg,
)
from app.members.links.schemas import (
    LinkRefusal,
    LinkRequestAcceptance,
    LinkRequestCreate,
    LinkRequestOut,
    ReceivedLinkRequestOut,
)
from app.members.queries import get_member
from app.members.schemas import MemberOut
from app.web.errors import problems
from app.web.etags import format_etag
from app.web.locations import set_location

router = APIRouter(prefix="/v1", route_class=TransactionalRoute, tags=["members"])

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]


@router.post(
    "/me/link-requests",
    summary="Say which member I am",
    status_code=201,
    responses=problems(RealNameRequired, UnknownOrg, AlreadyInDirectory, LinkRequestOpen, TooManyLinkRequests),
)
async def create_link_request(
    user: SignedIn, body: LinkRequestCreate, db: WriteDb, response: Response
) -> LinkRequestOut:
    """The caller requests to be linked to their row in the directory of an org, which has another phone. An admin of
    the org decides within 30 days. The caller's real name must be verified.

    Nothing is changed before the decision. The answer is the same whatever the directory contains, so it reveals
    nothing about the directory.
    """
    request_id = await operations.create_link_request(db, user, body)
    set_location(response, f"/v1/me/link-requests/{request_id}")
    return await queries.get_own_request(db, user.user_id, request_id)


@router.get("/me/link-requests", summary="My link requests")
async def list_my_link_requests(
    user: SignedIn, db: ReadDb, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[LinkRequestOut]:
    """List the link requests that the caller has made, the newest first, with their states. The call changes
    nothing."""
    return await queries.list_own_requests(db, user.user_id, paging)


@router.get("/me/link-requests/{request_id}", summary="Read my link request")
async def read_my_link_request(user: SignedIn, request_id: UUID, db: ReadDb) -> LinkRequestOut:
    """One request of the caller, and what became of it. The call changes nothing."""
    return await queries.get_own_request(db, user.user_id, request_id)


@router.delete(
    "/me/link-requests/{request_id}",
    summary="Withdraw a link request",
    status_code=204,
    responses=problems(LinkRequestDecided),
)
async def withdraw_link_request(user: SignedIn, request_id: UUID, db: WriteDb) -> None:
    """The caller withdraws a link request while it waits. Nothing else changes, and the caller can make a new
    request."""
    await operations.withdraw_link_request(db, user, request_id)


@router.get("/orgs/{org_id}/link-requests", summary="Link requests to decide")
async def list_link_requests(
    scope: Reader, db: ReadDb, cipher: CipherDep, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[ReceivedLinkRequestOut]:
    """List the link requests that wait and match a row of the directory, the newest first, with the matching rows.
    The call changes nothing."""
    return await queries.list_received_requests(db, cipher, scope.org_id, paging)


@router.get("/orgs/{org_id}/link-requests/{request_id}", summary="Read a link request")
async def read_link_request(scope: Reader, request_id: UUID, db: ReadDb, cipher: CipherDep) -> ReceivedLinkRequestOut:
    """Read one link request that waits, with the rows that match it. Compare names and phones before you accept.
    The call changes nothing."""
    return await queries.get_received_request(db, cipher, scope.org_id, request_id)


@router.put(
    "/orgs/{org_id}/link-requests/{request_id}/acceptance",
    summary="Accept a link request",
    responses=problems(LinkRequestDecided, NoCandidate, SeveralCandidates, AlreadyInDirectory, OrgClosed),
)
async def accept_link_request(
    scope: Writer,
    request_id: UUID,
    db: WriteDb,
    cipher: CipherDep,
    response: Response,
    body: LinkRequestAcceptance | None = None,
) -> MemberOut:
    """The admin accepts the link request. The row becomes active: it is linked to the account of the person who made
    the request, although the phones differ. Neither phone changes.

    If several rows match (409 `several-candidates`), send the id of the right row. The link can be undone with `DELETE
    …/members/{member_id}/activation`.
    """
    chosen = body.member_id if body is not None else None
    member_id = await operations.accept_link_request(db, scope, request_id, chosen)
    member = await get_member(db, cipher, scope.org_id, member_id)
    response.headers["ETag"] = format_etag(member.version)
    return member


@router.put(
    "/orgs/{org_id}/link-requests/{request_id}/refusal",
    summary="Refuse a link request",
    status_code=204,
    responses=problems(LinkRequestDecided),
)
async def refuse_link_request(scope: Writer, request_id: UUID, body: LinkRefusal, db: WriteDb) -> None:
    """The admin refuses the link request, with a reason that the person can read. The row does not change."""
    await operations.refuse_link_request(db, scope, request_id, body.reason)


@router.delete(
    "/orgs/{org_id}/members/{member_id}/activation",
    summary="Undo a link",
    status_code=204,
    responses=problems(MemberIsAdmin),
)
async def undo_link(scope: Writer, member_id: UUID, db: WriteDb) -> None:
    """Unlink a row from the account that it is active through, for example because the phone has a new owner. The row
    becomes inactive; the account and its points stay.

    That account is not linked to the row again without the consent of an admin. The row of an admin cannot be
    unlinked: the main admin removes them as admin first.
    """
    await operations.undo_link(db, scope, member_id)
