"""Recoveries of orgs whose main admin is gone (S4): by the platform operator, and by the superior."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.admins import change_decisions, queries, recovery_offers
from app.admins.errors import (
    AdminInvitationDecided,
    AdminInvitationExpired,
    AdminInvitationOpen,
    AdminsLeft,
    ChangeRequestDecided,
    ChangeRequestExpired,
    ChangeRequestStale,
)
from app.admins.schemas import (
    ChangeRefusalCreate,
    ChangeRequestOut,
    OperatorRecoveryOfferCreate,
    RecoveryOfferCreate,
    RecoveryOfferOut,
)
from app.authz.access import AsOperator, Can, OrgScope
from app.authz.permissions import Permission
from app.core.cipher import CipherDep
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.web.errors import NotFound, Problem, problem_response, problems

router = APIRouter(
    prefix="/v1/operator/recoveries",
    route_class=TransactionalRoute,
    tags=["operator"],
    responses=problems(NotFound),
)

offers_router = APIRouter(prefix="/v1", route_class=TransactionalRoute)

MainAdmin = Annotated[OrgScope, Can(Permission.ADMINS_WRITE)]
Reader = Annotated[OrgScope, Can(Permission.ADMINS_READ)]
_NEWEST = Annotated[Paging, paged_by(UUID)]
_FIRST = Paging(1, None)


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


@offers_router.post(
    "/orgs/{org_id}/subordinates/{subordinate_id}/recovery-offers",
    status_code=201,
    tags=["certification"],
    responses=problems(AdminsLeft, AdminInvitationOpen),
)
async def create_recovery_offer(
    scope: MainAdmin, subordinate_id: UUID, body: RecoveryOfferCreate, db: WriteDb, cipher: CipherDep
) -> RecoveryOfferOut:
    """Name a person who is to be the main admin of a direct subordinate in which no admin is left who could ask for a
    recovery. The person becomes an admin and the main admin by accepting, with a verified name. The present main admin
    finds the offer in the inbox and can withdraw it."""
    await recovery_offers.offer_recovery(db, cipher, scope, subordinate_id, body.phone, body.reason)
    return (await queries.list_recovery_offers(db, cipher, scope.org_id, subordinate_id, _FIRST)).items[0]


@offers_router.get("/orgs/{org_id}/subordinates/{subordinate_id}/recovery-offers", tags=["certification"])
async def list_recovery_offers(
    scope: Reader, subordinate_id: UUID, db: ReadDb, cipher: CipherDep, paging: _NEWEST
) -> Page[RecoveryOfferOut]:
    """The recoveries that this org has offered for a subordinate, newest first."""
    return await queries.list_recovery_offers(db, cipher, scope.org_id, subordinate_id, paging)


@offers_router.delete(
    "/orgs/{org_id}/subordinates/{subordinate_id}/recovery-offers/{offer_id}",
    status_code=204,
    tags=["certification"],
    responses=problems(AdminInvitationDecided, AdminInvitationExpired),
)
async def withdraw_recovery_offer(scope: MainAdmin, subordinate_id: UUID, offer_id: UUID, db: WriteDb) -> None:
    """Take such an offer back while it waits."""
    await recovery_offers.withdraw_recovery(db, scope, subordinate_id, offer_id)


@offers_router.post(
    "/operator/recovery-offers",
    status_code=201,
    tags=["operator"],
    summary="Name a main admin for an org without one",
    responses=problems(NotFound, AdminsLeft, AdminInvitationOpen),
)
async def create_operator_recovery_offer(
    scope: AsOperator, body: OperatorRecoveryOfferCreate, db: WriteDb, cipher: CipherDep
) -> RecoveryOfferOut:
    """Name a person who is to be the main admin of an org that has no superior, and in which no admin is left who could
    ask for a recovery. The person accepts in their inbox, with a verified name."""
    await recovery_offers.offer_recovery_as_operator(db, cipher, scope, body.org_id, body.phone, body.reason)
    return (await queries.list_recovery_offers(db, cipher, None, body.org_id, _FIRST)).items[0]


@offers_router.get(
    "/operator/recovery-offers",
    tags=["operator"],
    summary="Main admins named by operators",
    responses=problems(NotFound),
)
async def list_operator_recovery_offers(
    _: AsOperator, db: ReadDb, cipher: CipherDep, paging: _NEWEST
) -> Page[RecoveryOfferOut]:
    """The offers that operators have made, newest first."""
    return await queries.list_recovery_offers(db, cipher, None, None, paging)


@offers_router.delete(
    "/operator/recovery-offers/{offer_id}",
    status_code=204,
    tags=["operator"],
    summary="Take back the offer",
    responses=problems(NotFound, AdminInvitationDecided, AdminInvitationExpired),
)
async def withdraw_operator_recovery_offer(scope: AsOperator, offer_id: UUID, db: WriteDb) -> None:
    """While it waits."""
    await recovery_offers.withdraw_recovery_as_operator(db, scope, offer_id)
