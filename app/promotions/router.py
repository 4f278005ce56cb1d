"""Promotions over HTTP: turning a unit into an org (S7, S19)."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.admins.errors import InviteeNameDiffers, UnknownMember
from app.authz.access import Can, OrgScope, SignedIn
from app.authz.errors import OrgClosed, RealNameRequired
from app.authz.permissions import Permission
from app.core.cipher import CipherDep
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.errors import MemberWithoutPhone, PhoneOfAnotherMember
from app.orgs import queries
from app.orgs.advice import build_advice, list_level_advice, list_name_advice
from app.orgs.errors import (
    NameKindMismatch,
    NameSuffixTyped,
    NameUnshowable,
    PartyMemberRequired,
    SiblingNameTaken,
    UnknownRegion,
    UnknownUnit,
)
from app.orgs.schemas import OrgCreated
from app.promotions import operations as promotions
from app.promotions import queries as promotion_queries
from app.promotions.errors import PromotionDecided, PromotionExpired, PromotionOpen
from app.promotions.schemas import OfferedPromotionOut, PromotionCreate, PromotionOut
from app.web.errors import Problem, build_problem_response, problems
from app.web.etags import format_etag
from app.web.locations import describe_location, set_location

router = APIRouter(prefix="/v1", route_class=TransactionalRoute, tags=["units"])

Reader = Annotated[OrgScope, Can(Permission.UNITS_READ)]
Writer = Annotated[OrgScope, Can(Permission.UNITS_WRITE)]


@router.post(
    "/orgs/{org_id}/promotions",
    summary="Offer to turn a unit into an org",
    status_code=201,
    responses=problems(
        UnknownUnit,
        UnknownRegion,
        UnknownMember,
        MemberWithoutPhone,
        NameSuffixTyped,
        NameKindMismatch,
        NameUnshowable,
        SiblingNameTaken,
        PromotionOpen,
    ),
)
async def create_promotion(
    scope: Writer, body: PromotionCreate, db: WriteDb, cipher: CipherDep, response: Response
) -> PromotionOut:
    """An admin offers to turn a unit into an org. The offer names a person, by phone or by member row, who becomes the
    main admin of the new org. The person finds the offer in the inbox for 14 days.

    Nothing moves yet. The answer is the same for every phone. Only one offer for a unit can wait at a time: to name
    another person, withdraw it first.
    """
    promotion_id = await promotions.create_promotion(db, cipher, scope, body)
    set_location(response, f"/v1/orgs/{scope.org_id}/promotions/{promotion_id}")
    return await promotion_queries.get_promotion(db, cipher, scope.org_id, promotion_id)


@router.get("/orgs/{org_id}/promotions", summary="List the offers of an org")
async def list_promotions(
    scope: Reader, db: ReadDb, cipher: CipherDep, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[PromotionOut]:
    """List the offers to turn units of this org into orgs, the newest first, with their states. The call changes
    nothing."""
    return await promotion_queries.list_promotions(db, cipher, scope.org_id, paging)


@router.get("/orgs/{org_id}/promotions/{promotion_id}", summary="Read an offer of the org")
async def read_promotion(scope: Reader, promotion_id: UUID, db: ReadDb, cipher: CipherDep) -> PromotionOut:
    """Read one offer to turn a unit into an org, with its state. The person's phone is masked. The call changes
    nothing."""
    return await promotion_queries.get_promotion(db, cipher, scope.org_id, promotion_id)


@router.delete(
    "/orgs/{org_id}/promotions/{promotion_id}",
    summary="Withdraw an offer",
    status_code=204,
    responses=problems(PromotionDecided, PromotionExpired),
)
async def withdraw_promotion(scope: Writer, promotion_id: UUID, db: WriteDb) -> None:
    """An admin of the org withdraws an offer while it waits. The unit does not change, and the person can no longer
    accept the offer."""
    await promotions.withdraw_promotion(db, scope, promotion_id)


@router.get("/me/promotions/{promotion_id}", summary="Read an offer made to me")
async def read_offered_promotion(user: SignedIn, promotion_id: UUID, db: ReadDb) -> OfferedPromotionOut:
    """Read an offer as the person to whom it was made: which unit of which org it is for, and how many people would
    move. The inbox gives the address of this call.

    The call changes nothing. Next, accept or refuse.
    """
    return await promotion_queries.get_offered_promotion(db, user.user_id, promotion_id)


@router.put(
    "/me/promotions/{promotion_id}/acceptance",
    summary="Accept an offer and become main admin",
    response_model=OrgCreated,
    responses=describe_location(200)
    | problems(
        RealNameRequired,
        PartyMemberRequired,
        OrgClosed,
        PromotionDecided,
        PromotionExpired,
        SiblingNameTaken,
        InviteeNameDiffers,
        PhoneOfAnotherMember,
    ),
)
async def accept_promotion(
    request: Request, response: Response, user: SignedIn, promotion_id: UUID, db: WriteDb, cipher: CipherDep
) -> OrgCreated | JSONResponse:
    """The caller accepts the offer and becomes the main admin of the new org. In one transaction, the unit's people
    and the units under it move into the new org, and the new org is certified under the org of the unit.

    The caller's real name must be verified. If the offer was made to a member whose name differs from the caller's,
    the offer ends and the org is informed.
    """
    org_id = await promotions.accept_promotion(db, cipher, user, promotion_id)
    if isinstance(org_id, Problem):
        return build_problem_response(request, org_id)
    card = await queries.get_card(db, org_id)
    advice = await list_name_advice(db, card.name, card.region_code, org_id=org_id)
    advice += await list_level_advice(db, user.user_id)
    set_location(response, f"/v1/orgs/{org_id}")
    response.headers["ETag"] = format_etag(card.version)
    return OrgCreated.from_card(card, advice=build_advice(advice))


@router.put(
    "/me/promotions/{promotion_id}/refusal",
    summary="Refuse an offer",
    status_code=204,
    responses=problems(PromotionDecided, PromotionExpired),
)
async def refuse_promotion(user: SignedIn, promotion_id: UUID, db: WriteDb) -> None:
    """The caller declines the offer. The offer ends, the unit does not change, and the org is informed."""
    await promotions.refuse_promotion(db, user, promotion_id)
