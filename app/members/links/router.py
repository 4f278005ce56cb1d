"""Link requests over HTTP (S18): “that is me”, its answers, and undoing a link."""

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
    LinkAcceptance,
    LinkRefusal,
    LinkRequestCreate,
    LinkRequestOut,
    ReceivedLinkRequestOut,
)
from app.members.queries import get_member
from app.members.schemas import MemberOut
from app.web.errors import problems
from app.web.etags import etag

router = APIRouter(prefix="/v1", route_class=TransactionalRoute, tags=["members"])

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]


@router.post(
    "/me/link-requests",
    status_code=201,
    responses=problems(RealNameRequired, UnknownOrg, AlreadyInDirectory, LinkRequestOpen, TooManyLinkRequests),
)
async def create_link_request(user: SignedIn, body: LinkRequestCreate, db: WriteDb) -> LinkRequestOut:
    """Say “that is me” of one's row in an org's directory that has another phone. An admin decides. The answer is the
    same whatever the directory holds."""
    request_id = await operations.create_link_request(db, user, body)
    return await queries.get_mine(db, user.user_id, request_id)


@router.get("/me/link-requests")
async def list_my_link_requests(
    user: SignedIn, db: ReadDb, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[LinkRequestOut]:
    """The caller's own requests, newest first, and what became of them."""
    return await queries.list_mine(db, user.user_id, paging)


@router.delete("/me/link-requests/{request_id}", status_code=204, responses=problems(LinkRequestDecided))
async def withdraw_link_request(user: SignedIn, request_id: UUID, db: WriteDb) -> None:
    """Withdraw a request while it waits."""
    await operations.withdraw_link_request(db, user, request_id)


@router.get("/orgs/{org_id}/link-requests")
async def list_link_requests(
    scope: Reader, db: ReadDb, cipher: CipherDep, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[ReceivedLinkRequestOut]:
    """The requests that wait and fit somebody in the directory, newest first, with whom they fit."""
    return await queries.list_received(db, cipher, scope.org_id, paging)


@router.get("/orgs/{org_id}/link-requests/{request_id}")
async def read_link_request(scope: Reader, request_id: UUID, db: ReadDb, cipher: CipherDep) -> ReceivedLinkRequestOut:
    """A request that waits, with the rows that it fits."""
    return await queries.get_received(db, cipher, scope.org_id, request_id)


@router.put(
    "/orgs/{org_id}/link-requests/{request_id}/acceptance",
    responses=problems(LinkRequestDecided, NoCandidate, SeveralCandidates, AlreadyInDirectory, OrgClosed),
)
async def accept_link_request(
    scope: Writer,
    request_id: UUID,
    db: WriteDb,
    cipher: CipherDep,
    response: Response,
    body: LinkAcceptance | None = None,
) -> MemberOut:
    """Consent: the row turns active through the asker's account, with their other phone, until that is undone."""
    chosen = body.member_id if body is not None else None
    member_id = await operations.accept_link_request(db, scope, request_id, chosen)
    member = await get_member(db, cipher, scope.org_id, member_id)
    response.headers["ETag"] = etag(member.version)
    return member


@router.put(
    "/orgs/{org_id}/link-requests/{request_id}/refusal", status_code=204, responses=problems(LinkRequestDecided)
)
async def refuse_link_request(scope: Writer, request_id: UUID, body: LinkRefusal, db: WriteDb) -> None:
    """Refuse, with a reason that the asker reads."""
    await operations.refuse_link_request(db, scope, request_id, body.reason)


@router.delete("/orgs/{org_id}/members/{member_id}/activation", status_code=204, responses=problems(MemberIsAdmin))
async def undo_link(scope: Writer, member_id: UUID, db: WriteDb) -> None:
    """Unlink a row from the account that it is active through. That account is not linked to it again without an
    admin's consent; the account and its points stay as they are."""
    await operations.undo_link(db, scope, member_id)
