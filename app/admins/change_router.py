"""Change requests over HTTP: asked by an org, decided by its superior (S4, S5)."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.admins import change_decisions, change_requests, queries
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
from app.web.errors import Problem, problem_response, problems

router = APIRouter(prefix="/v1", route_class=TransactionalRoute, tags=["admins"])

Reader = Annotated[OrgScope, Can(Permission.CHANGES_READ)]
Writer = Annotated[OrgScope, Can(Permission.CHANGES_WRITE)]


class Side(StrEnum):
    """Whose requests: what the org asked, or what waits for its own decision."""

    ASKED = "asked"
    RECEIVED = "received"


@router.post(
    "/orgs/{org_id}/change-requests",
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
async def create_change_request(scope: Writer, body: ChangeRequestCreate, db: WriteDb) -> ChangeRequestOut:
    """Ask the superior for a new name or main admin. Without a superior a rename or hand-over takes effect at once:
    its state is `accepted`; the recovery of a main admin who is gone waits for the platform operator."""
    request_id = await change_requests.create_change_request(db, scope, body)
    return await queries.get_change_request(db, scope.org_id, request_id)


@router.get("/orgs/{org_id}/change-requests")
async def list_change_requests(
    scope: Reader,
    db: ReadDb,
    paging: Annotated[Paging, paged_by(UUID)],
    side: Annotated[
        Side, Query(description="`asked`: by this org; `received`: from those under it, waiting for a decision.")
    ] = Side.ASKED,
) -> Page[ChangeRequestOut]:
    """Change requests, newest first."""
    listed = queries.list_change_requests if side is Side.ASKED else queries.list_received_change_requests
    return await listed(db, scope.org_id, paging)


@router.get("/orgs/{org_id}/change-requests/{request_id}")
async def read_change_request(scope: Reader, request_id: UUID, db: ReadDb) -> ChangeRequestOut:
    """One request: for the org that asked, and for its superior of the moment."""
    return await queries.get_change_request(db, scope.org_id, request_id)


@router.delete(
    "/orgs/{org_id}/change-requests/{request_id}",
    status_code=204,
    responses=problems(ChangeRequestDecided, ChangeRequestExpired, MainAdminOnly),
)
async def withdraw_change_request(scope: Writer, request_id: UUID, db: WriteDb) -> None:
    """Withdraw what this org asked, while it waits. A main admin who is not gone withdraws a recovery so."""
    await change_requests.withdraw_change_request(db, scope, request_id)


@router.put(
    "/orgs/{org_id}/change-requests/{request_id}/approval",
    response_model=ChangeRequestOut,
    responses=problems(ChangeRequestDecided, ChangeRequestExpired, ChangeRequestStale, SiblingNameTaken),
)
async def approve_change_request(
    request: Request, scope: Writer, request_id: UUID, db: WriteDb
) -> ChangeRequestOut | Response:
    """Consent to what an org directly under this one asks: the change is made now."""
    outcome = await change_decisions.approve_change_request(db, scope, request_id)
    if isinstance(outcome, Problem):  # answered, not raised: that the request has ended must be kept
        return problem_response(request, outcome)
    return await queries.get_change_request(db, scope.org_id, request_id)


@router.put(
    "/orgs/{org_id}/change-requests/{request_id}/refusal",
    responses=problems(ChangeRequestDecided, ChangeRequestExpired),
)
async def refuse_change_request(
    scope: Writer, request_id: UUID, body: ChangeRefusalCreate, db: WriteDb
) -> ChangeRequestOut:
    """Refuse what an org directly under this one asks, with a reason that its admins read."""
    await change_decisions.refuse_change_request(db, scope, request_id, body.reason)
    return await queries.get_change_request(db, scope.org_id, request_id)
