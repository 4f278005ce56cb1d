"""Recoveries of orgs without a superior, decided by the platform operator (S4)."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.admins import change_decisions, queries
from app.admins.errors import ChangeRequestDecided, ChangeRequestExpired, ChangeRequestStale
from app.admins.schemas import ChangeRefusalCreate, ChangeRequestOut
from app.authz.access import AsOperator
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.web.errors import NotFound, Problem, problem_response, problems

router = APIRouter(
    prefix="/v1/operator/recoveries",
    route_class=TransactionalRoute,
    tags=["operator"],
    responses=problems(NotFound),
)


@router.get("", summary="Main admins said to be gone")
async def list_recoveries(
    _: AsOperator, db: ReadDb, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[ChangeRequestOut]:
    """The recoveries that wait and that no superior decides on, oldest first."""
    return await queries.list_orphan_recoveries(db, paging)


@router.put(
    "/{request_id}/approval",
    status_code=204,
    response_model=None,
    summary="Replace the main admin",
    responses=problems(ChangeRequestDecided, ChangeRequestExpired, ChangeRequestStale),
)
async def approve_recovery(request: Request, scope: AsOperator, request_id: UUID, db: WriteDb) -> Response | None:
    """The admin named in the request is the main admin from now on; the former one stays an admin."""
    outcome = await change_decisions.approve_recovery(db, scope.actor, request_id)
    if isinstance(outcome, Problem):  # answered, not raised: that the request has ended must be kept
        return problem_response(request, outcome)
    return None


@router.put(
    "/{request_id}/refusal",
    status_code=204,
    summary="Leave the main admin",
    responses=problems(ChangeRequestDecided, ChangeRequestExpired),
)
async def refuse_recovery(scope: AsOperator, request_id: UUID, body: ChangeRefusalCreate, db: WriteDb) -> None:
    """With a reason that the org's admins read."""
    await change_decisions.refuse_recovery(db, scope.actor, request_id, body.reason)
