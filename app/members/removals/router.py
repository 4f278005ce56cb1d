"""Requests to be removed from a directory, over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from app.authz.access import Can, OrgScope, SignedIn
from app.authz.errors import OrgClosed
from app.authz.permissions import Permission
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.errors import MemberIsAdmin
from app.members.links.errors import UnknownOrg
from app.members.removals import operations, queries
from app.members.removals.errors import AdminMustResign, NotInDirectory, RemovalRequestDecided, RemovalRequestOpen
from app.members.removals.schemas import (
    ReceivedRemovalRequestOut,
    RemovalRefusal,
    RemovalRequestCreate,
    RemovalRequestOut,
)
from app.web.errors import problems

router = APIRouter(prefix="/v1", route_class=TransactionalRoute, tags=["members"])

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]


@router.post(
    "/me/removal-requests",
    summary="Ask to be removed",
    status_code=201,
    responses=problems(UnknownOrg, NotInDirectory, AdminMustResign, RemovalRequestOpen),
)
async def create_removal_request(
    user: SignedIn, body: RemovalRequestCreate, db: WriteDb, response: Response
) -> RemovalRequestOut:
    """The caller requests that an org remove the caller from its directory. An admin of the org decides within 30
    days.

    Nothing changes before the decision. An admin of the org cannot request this: resign first.
    """
    request_id = await operations.create_removal_request(db, user, body.org_id)
    response.headers["Location"] = f"/v1/me/removal-requests/{request_id}"
    return await queries.get_own_removal_request(db, user.user_id, request_id)


@router.get("/me/removal-requests", summary="My requests to be removed")
async def list_my_removal_requests(
    user: SignedIn, db: ReadDb, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[RemovalRequestOut]:
    """List the removal requests that the caller has made, the newest first, with their states. The call changes
    nothing."""
    return await queries.list_own_removal_requests(db, user.user_id, paging)


@router.get("/me/removal-requests/{request_id}", summary="Read my request to be removed")
async def read_my_removal_request(user: SignedIn, request_id: UUID, db: ReadDb) -> RemovalRequestOut:
    """Read one removal request that the caller has made, with its state. The call changes nothing."""
    return await queries.get_own_removal_request(db, user.user_id, request_id)


@router.delete(
    "/me/removal-requests/{request_id}",
    summary="Withdraw a request to be removed",
    status_code=204,
    responses=problems(RemovalRequestDecided),
)
async def withdraw_removal_request(user: SignedIn, request_id: UUID, db: WriteDb) -> None:
    """The caller withdraws a removal request while it waits. Nothing else changes, and the caller can make a new
    request."""
    await operations.withdraw_removal_request(db, user, request_id)


@router.get("/orgs/{org_id}/removal-requests", summary="Requests to be removed to decide")
async def list_removal_requests(
    scope: Reader, db: ReadDb, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[ReceivedRemovalRequestOut]:
    """List the removal requests that wait for a decision of the org, the newest first. The call changes nothing."""
    return await queries.list_received_removal_requests(db, scope.org_id, paging)


@router.get("/orgs/{org_id}/removal-requests/{request_id}", summary="Read a request to be removed")
async def read_removal_request(scope: Reader, request_id: UUID, db: ReadDb) -> ReceivedRemovalRequestOut:
    """Read one removal request that waits, with the row of the person. The call changes nothing."""
    return await queries.get_received_removal_request(db, scope.org_id, request_id)


@router.put(
    "/orgs/{org_id}/removal-requests/{request_id}/acceptance",
    summary="Accept a request to be removed",
    status_code=204,
    responses=problems(RemovalRequestDecided, MemberIsAdmin, OrgClosed),
)
async def accept_removal_request(scope: Writer, request_id: UUID, db: WriteDb) -> None:
    """The admin accepts the removal request. The person is removed from the directory, as with `DELETE
    …/members/{member_id}`: the account and its points do not change, and the person can be restored for thirty days."""
    await operations.accept_removal_request(db, scope, request_id)


@router.put(
    "/orgs/{org_id}/removal-requests/{request_id}/refusal",
    summary="Refuse a request to be removed",
    status_code=204,
    responses=problems(RemovalRequestDecided),
)
async def refuse_removal_request(scope: Writer, request_id: UUID, body: RemovalRefusal, db: WriteDb) -> None:
    """The admin refuses the removal request, with a reason that the person can read. The directory does not change."""
    await operations.refuse_removal_request(db, scope, request_id, body.reason)
