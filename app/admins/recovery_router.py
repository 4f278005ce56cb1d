"""Recoveries of orgs whose main admin is no longer available (S4), by the platform operator or by the superior."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.admins import change_decisions, queries, recovery_offers
from app.admins.change_queries import list_orphan_recoveries
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
from app.web.errors import NotFound, Problem, build_problem_response, problems
from app.web.locations import set_location

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


@router.get("", summary="List recoveries to decide")
async def list_recoveries(
    _: AsOperator, db: ReadDb, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[ChangeRequestOut]:
    """List the pending recoveries of orgs without a superior, the oldest first. In each, an admin of the org states
    that the main admin is no longer available. The call changes nothing."""
    return await list_orphan_recoveries(db, paging)


@router.put(
    "/{request_id}/approval",
    status_code=204,
    response_model=None,
    summary="Replace the main admin",
    responses=problems(ChangeRequestDecided, ChangeRequestExpired, ChangeRequestStale),
)
async def approve_recovery(request: Request, scope: AsOperator, request_id: UUID, db: WriteDb) -> Response | None:
    """The operator approves a recovery. The admin whom the request names becomes the main admin now. The former main
    admin stays an admin.

    First check, outside the service, that the main admin is no longer available. If the admins have changed since the
    request was made, the request ends as superseded. The org can then make a new request.
    """
    outcome = await change_decisions.approve_recovery(db, scope.actor, request_id)
    if isinstance(outcome, Problem):  # returned and not raised, so that the end of the request is committed
        return build_problem_response(request, outcome)
    return None


@router.put(
    "/{request_id}/refusal",
    status_code=204,
    summary="Keep the main admin",
    responses=problems(ChangeRequestDecided, ChangeRequestExpired),
)
async def refuse_recovery(scope: AsOperator, request_id: UUID, body: ChangeRefusalCreate, db: WriteDb) -> None:
    """Refuse a recovery, with a reason that the admins of the org read. The main admin stays, and the org may make a
    new request.
    """
    await change_decisions.refuse_recovery(db, scope.actor, request_id, body.reason)


@offers_router.post(
    "/orgs/{org_id}/subordinates/{subordinate_id}/recovery-offers",
    summary="Name a main admin for a subordinate",
    status_code=201,
    tags=["certification"],
    responses=problems(AdminsLeft, AdminInvitationOpen),
)
async def create_recovery_offer(
    scope: MainAdmin,
    subordinate_id: UUID,
    body: RecoveryOfferCreate,
    db: WriteDb,
    cipher: CipherDep,
    response: Response,
) -> RecoveryOfferOut:
    """The superior offers a person, by phone, the office of main admin of a direct subordinate that has no other admin
    who could request a recovery. The person finds the offer in the inbox and becomes the main admin by accepting it.
    The person's real name must be verified.

    The present main admin finds the offer in the inbox too and can withdraw it. If the org has another admin (409
    `admins-left`), that admin requests a recovery instead.
    """
    offer_id = await recovery_offers.offer_recovery(db, cipher, scope, subordinate_id, body.phone, body.reason)
    set_location(response, f"/v1/orgs/{scope.org_id}/subordinates/{subordinate_id}/recovery-offers/{offer_id}")
    return await queries.get_recovery_offer(db, cipher, scope.org_id, subordinate_id, offer_id)


@offers_router.get(
    "/orgs/{org_id}/subordinates/{subordinate_id}/recovery-offers",
    summary="List the offers for a subordinate",
    tags=["certification"],
)
async def list_recovery_offers(
    scope: Reader, subordinate_id: UUID, db: ReadDb, cipher: CipherDep, paging: _NEWEST
) -> Page[RecoveryOfferOut]:
    """List the offers to become main admin of the subordinate that this org has made, the newest first, with the state
    of each offer. The call changes nothing."""
    return await queries.list_recovery_offers(db, cipher, scope.org_id, subordinate_id, paging)


@offers_router.get(
    "/orgs/{org_id}/subordinates/{subordinate_id}/recovery-offers/{offer_id}",
    summary="Read an offer for a subordinate",
    tags=["certification"],
)
async def read_recovery_offer(
    scope: Reader, subordinate_id: UUID, offer_id: UUID, db: ReadDb, cipher: CipherDep
) -> RecoveryOfferOut:
    """Read one offer that this org has made for the subordinate, with its state. The phone is masked. The call changes
    nothing."""
    return await queries.get_recovery_offer(db, cipher, scope.org_id, subordinate_id, offer_id)


@offers_router.delete(
    "/orgs/{org_id}/subordinates/{subordinate_id}/recovery-offers/{offer_id}",
    summary="Withdraw the offer for a subordinate",
    status_code=204,
    tags=["certification"],
    responses=problems(AdminInvitationDecided, AdminInvitationExpired),
)
async def withdraw_recovery_offer(scope: MainAdmin, subordinate_id: UUID, offer_id: UUID, db: WriteDb) -> None:
    """Withdraw the offer while it is pending. The person can no longer accept it, and the admins of the subordinate do
    not change.
    """
    await recovery_offers.withdraw_recovery(db, scope, subordinate_id, offer_id)


@offers_router.post(
    "/operator/recovery-offers",
    status_code=201,
    tags=["operator"],
    summary="Name a main admin for an org without one",
    responses=problems(NotFound, AdminsLeft, AdminInvitationOpen),
)
async def create_operator_recovery_offer(
    scope: AsOperator, body: OperatorRecoveryOfferCreate, db: WriteDb, cipher: CipherDep, response: Response
) -> RecoveryOfferOut:
    """The operator offers a person, by phone, the office of main admin of an org that has no superior and no other
    admin who could request a recovery. The person finds the offer in the inbox and becomes the main admin by accepting
    it. The person's real name must be verified.

    If the org has another admin (409 `admins-left`), that admin requests a recovery instead.
    """
    offer_id = await recovery_offers.offer_recovery_as_operator(db, cipher, scope, body.org_id, body.phone, body.reason)
    set_location(response, f"/v1/operator/recovery-offers/{offer_id}")
    return await queries.get_recovery_offer(db, cipher, None, None, offer_id)


@offers_router.get(
    "/operator/recovery-offers",
    tags=["operator"],
    summary="List the offers of operators",
    responses=problems(NotFound),
)
async def list_operator_recovery_offers(
    _: AsOperator, db: ReadDb, cipher: CipherDep, paging: _NEWEST
) -> Page[RecoveryOfferOut]:
    """List the recovery offers that platform operators have made, the newest first, with the state of each. The call
    changes nothing."""
    return await queries.list_recovery_offers(db, cipher, None, None, paging)


@offers_router.get(
    "/operator/recovery-offers/{offer_id}",
    tags=["operator"],
    summary="Read an offer of operators",
    responses=problems(NotFound),
)
async def read_operator_recovery_offer(
    _: AsOperator, offer_id: UUID, db: ReadDb, cipher: CipherDep
) -> RecoveryOfferOut:
    """Read one offer that a platform operator has made, with its state. The phone is masked. The call changes
    nothing."""
    return await queries.get_recovery_offer(db, cipher, None, None, offer_id)


@offers_router.delete(
    "/operator/recovery-offers/{offer_id}",
    status_code=204,
    tags=["operator"],
    summary="Withdraw the offer of an operator",
    responses=problems(NotFound, AdminInvitationDecided, AdminInvitationExpired),
)
async def withdraw_operator_recovery_offer(scope: AsOperator, offer_id: UUID, db: WriteDb) -> None:
    """Withdraw an offer while it is pending. The person can no longer accept it, and the admins of the org do not
    change.
    """
    await recovery_offers.withdraw_recovery_as_operator(db, scope, offer_id)
