"""Change requests over HTTP: made by an org, decided by its superior (S4, S5)."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.admins import change_decisions, change_queries, change_requests
from app.admins.errors import (
    AlreadyMainAdmin,
    ChangeRequestDecided,
    ChangeRequestExpired,
    ChangeRequestOpen,
    ChangeRequestStale,
    MainAdminOnly,
    MainAdminStays,
    NameUnchanged,
    NotAnAdmin,
    SoleAdmin,
)
from app.admins.schemas import ChangeRefusalCreate, ChangeRequestCreate, ChangeRequestOut
from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.orgs.errors import NameKindMismatch, NameSuffixTyped, NameUnshowable, SiblingNameTaken
from app.web.errors import Problem, build_problem_response, problems
from app.web.locations import set_location

router = APIRouter(prefix="/v1", route_class=TransactionalRoute, tags=["admins"])

Reader = Annotated[OrgScope, Can(Permission.CHANGES_READ)]
Writer = Annotated[OrgScope, Can(Permission.CHANGES_WRITE)]


class Side(StrEnum):
    """Which requests are listed: those that the org has made, or those that it decides."""

    SENT = "sent"
    RECEIVED = "received"


@router.post(
    "/orgs/{org_id}/change-requests",
    summary="Ask for a new name or main admin",
    status_code=201,
    responses=problems(
        MainAdminOnly,
        MainAdminStays,
        SoleAdmin,
        NotAnAdmin,
        AlreadyMainAdmin,
        NameUnchanged,
        NameSuffixTyped,
        NameKindMismatch,
        NameUnshowable,
        SiblingNameTaken,
        ChangeRequestOpen,
        ChangeRequestStale,
    ),
)
async def create_change_request(
    scope: Writer, body: ChangeRequestCreate, db: WriteDb, response: Response
) -> ChangeRequestOut:
    """Create a change request of one of three kinds: `rename`, `hand-over` (the main admin names another admin), or
    `recovery` (another admin requests to replace a main admin who is no longer available). The superior decides within
    30 days.

    Without a superior, a rename or hand-over takes effect at once and its state is `accepted`; a recovery waits for
    the platform operator. One request of each kind can wait at a time. The person who takes over must be an admin
    already: invite this person first.
    """
    request_id = await change_requests.create_change_request(db, scope, body)
    set_location(response, f"/v1/orgs/{scope.org_id}/change-requests/{request_id}")
    return await change_queries.get_change_request(db, scope.org_id, request_id)


@router.get("/orgs/{org_id}/change-requests", summary="List change requests")
async def list_change_requests(
    scope: Reader,
    db: ReadDb,
    paging: Annotated[Paging, paged_by(UUID)],
    side: Annotated[
        Side,
        Query(description="`sent`: made by this org. `received`: made by its direct subordinates, for it to decide."),
    ] = Side.SENT,
) -> Page[ChangeRequestOut]:
    """List the change requests, the newest first: those that this org has made, or those that its direct subordinates
    have made. The call changes nothing."""
    if side is Side.SENT:
        return await change_queries.list_change_requests(db, scope.org_id, paging)
    return await change_queries.list_received_change_requests(db, scope.org_id, paging)


@router.get("/orgs/{org_id}/change-requests/{request_id}", summary="Read a change request")
async def read_change_request(scope: Reader, request_id: UUID, db: ReadDb) -> ChangeRequestOut:
    """Read one change request. The org that has made it and the present superior of that org can read it. The call
    changes nothing. For the admins who decide, the inbox item contains the path of this call in `href`."""
    return await change_queries.get_change_request(db, scope.org_id, request_id)


@router.delete(
    "/orgs/{org_id}/change-requests/{request_id}",
    summary="Withdraw a change request",
    status_code=204,
    responses=problems(ChangeRequestDecided, ChangeRequestExpired, MainAdminOnly),
)
async def withdraw_change_request(scope: Writer, request_id: UUID, db: WriteDb) -> None:
    """The org withdraws its change request while the request is pending. Nothing changes in the org. A main admin who
    is still available ends a recovery in this way."""
    await change_requests.withdraw_change_request(db, scope, request_id)


@router.put(
    "/orgs/{org_id}/change-requests/{request_id}/approval",
    summary="Approve a change request",
    response_model=ChangeRequestOut,
    responses=problems(ChangeRequestDecided, ChangeRequestExpired, ChangeRequestStale, SiblingNameTaken),
)
async def approve_change_request(
    request: Request, scope: Writer, request_id: UUID, db: WriteDb
) -> ChangeRequestOut | Response:
    """An admin of the superior approves a change request of a direct subordinate. The new name or the new main admin
    takes effect now.

    If the name or the admins have changed since the request was made, the request ends as superseded (409
    `change-request-stale`). The org can then make a new request.
    """
    outcome = await change_decisions.approve_change_request(db, scope, request_id)
    if isinstance(outcome, Problem):  # returned and not raised, so that the end of the request is committed
        return build_problem_response(request, outcome)
    return await change_queries.get_change_request(db, scope.org_id, request_id)


@router.put(
    "/orgs/{org_id}/change-requests/{request_id}/refusal",
    summary="Refuse a change request",
    responses=problems(ChangeRequestDecided, ChangeRequestExpired),
)
async def refuse_change_request(
    scope: Writer, request_id: UUID, body: ChangeRefusalCreate, db: WriteDb
) -> ChangeRequestOut:
    """An admin of the superior refuses a change request, with a reason that the admins of the org can read. Nothing
    changes in the org, which can make a new request."""
    await change_decisions.refuse_change_request(db, scope, request_id, body.reason)
    return await change_queries.get_change_request(db, scope.org_id, request_id)
