"""Writes of promotions: the offer to turn a unit into an org (S7), and its acceptance by the new main admin (S19)."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.admins.errors import InviteeNameDiffers
from app.admins.invitees import build_invitee_columns, decline_if_name_differs, is_offered_to
from app.approvals.kinds import PROMOTION
from app.approvals.requests import (
    Decision,
    create_request,
    decide_request,
    finish_requests,
    get_request_to_decide,
    withdraw_request,
)
from app.audit_log.entries import record
from app.authz.access import OrgScope, UserScope
from app.authz.errors import OrgClosed
from app.certification.edges import begin_edge
from app.core.cipher import Cipher
from app.core.ids import make_id
from app.hierarchy import tree
from app.members.activation import enqueue_row_activations
from app.members.admin_rows import ensure_admin_row
from app.org_lifecycle import operations
from app.orgs import names
from app.orgs.errors import PartyMemberRequired, SiblingNameTaken, UnknownRegion, UnknownUnit
from app.orgs.locks import lock_orgs, lock_orgs_for_edit
from app.orgs.names import Kind
from app.orgs.regions import find_region
from app.promotions.errors import PromotionDecided, PromotionExpired, PromotionOpen
from app.promotions.schemas import PromotionCreate
from app.promotions.unit_moves import move_unit_into_org
from app.schema.approvals import CertificationState, State
from app.schema.certification import Certification
from app.schema.orgs import Org, Promotion, Unit
from app.web.errors import NotFound


class _Offer(NamedTuple):
    unit_id: UUID
    name: str
    region_code: str
    requested_by: UUID
    new_org_id: UUID | None


async def create_promotion(db: AsyncConnection, cipher: Cipher, scope: OrgScope, body: PromotionCreate) -> UUID:
    """Offer a person, by phone or by member row, to be the main admin of the org that a unit becomes. Return the
    offer's id.

    Raises UnknownUnit, UnknownRegion, the name's errors (S3), SiblingNameTaken, UnknownMember,
    MemberWithoutPhone, PromotionOpen.
    """
    org = (await lock_orgs_for_edit(db, scope))[scope.org_id]
    live = select(Unit.id).where(Unit.org_id == scope.org_id, Unit.id == body.unit_id, Unit.removed_at.is_(None))
    if await db.scalar(live) is None:
        raise UnknownUnit
    region_code = body.region_code or org.region_code
    if body.region_code is not None and find_region(body.region_code) is None:
        raise UnknownRegion
    for error in names.list_name_errors(body.name, Kind(org.kind)):
        raise error
    # An early answer for the admin. The index repeats the check when the edge is inserted.
    sibling = select(Certification.id).where(
        Certification.superior_id == scope.org_id,
        Certification.subordinate_name == body.name,
        Certification.state == CertificationState.LIVE,
    )
    if await db.scalar(sibling) is not None:
        raise SiblingNameTaken
    promotion_id = make_id()
    columns = await build_invitee_columns(db, cipher, scope.org_id, body.to, promotion_id)
    await create_request(
        db,
        PROMOTION,
        PromotionOpen,
        id=promotion_id,
        org_id=scope.org_id,
        unit_id=body.unit_id,
        name=body.name,
        region_code=region_code,
        requested_by=scope.user.user_id,
        **columns,
    )
    await record(
        db,
        scope.actor,
        "promotion.created",
        org_id=scope.org_id,
        subject=("promotion", promotion_id),
        after={"unit_id": str(body.unit_id), "name": body.name, "region_code": region_code},
    )
    return promotion_id


async def withdraw_promotion(db: AsyncConnection, scope: OrgScope, promotion_id: UUID) -> None:
    """Withdraw a pending offer of the scope's org. Raises NotFound, PromotionDecided, PromotionExpired."""
    await lock_orgs_for_edit(db, scope)
    conditions = (Promotion.id == promotion_id, Promotion.org_id == scope.org_id)
    errors = {"decided": PromotionDecided, "expired": PromotionExpired}
    await withdraw_request(db, PROMOTION, *conditions, by=scope.user.user_id, **errors)
    subject = ("promotion", promotion_id)
    await record(db, scope.actor, "promotion.withdrawn", org_id=scope.org_id, subject=subject)


async def refuse_promotion(db: AsyncConnection, user: UserScope, promotion_id: UUID) -> None:
    """Decline an offer made to the user. Raises NotFound, PromotionDecided, PromotionExpired."""
    org_id = await _get_offering_org_id(db, user, promotion_id)
    decision = _build_decision(State.DECLINED, user, promotion_id, Promotion.reason.is_(None))
    if not await decide_request(db, decision, user.user_id):
        return
    subject = ("promotion", promotion_id)
    await record(db, user.actor.get_actor_for_other_org(), "promotion.declined", org_id=org_id, subject=subject)


async def accept_promotion(
    db: AsyncConnection, cipher: Cipher, user: UserScope, promotion_id: UUID
) -> UUID | InviteeNameDiffers:
    """Create the org with the user as its main admin. Return its id.

    One transaction creates the org with the unit's sub-units, moves the unit's people with their unit memberships and
    activations, ends their old unit memberships, removes the old units, and certifies the new org under the old org. A
    person who is also a member of other units of the old org stays in those units too.

    If the offer was made to a member with another name than the user's, the result is InviteeNameDiffers. It is
    returned and not raised, so that the end of the offer is committed.

    Locks the hierarchy, then the old org. Raises NotFound, RealNameRequired, PartyMemberRequired, OrgClosed,
    PromotionDecided, PromotionExpired, SiblingNameTaken, PhoneOfAnotherMember.
    """
    org_id = await _get_offering_org_id(db, user, promotion_id)
    user.require_real_name()
    await tree.lock_hierarchy(db)
    org = (await lock_orgs(db, org_id))[org_id]
    if org.status == "closed":
        raise OrgClosed
    if org.kind == Kind.PARTY and not user.party_member:
        raise PartyMemberRequired
    created_by_user = exists().where(Org.id == Promotion.new_org_id, Org.created_by == user.user_id)
    decision = _build_decision(State.ACCEPTED, user, promotion_id, created_by_user.correlate(Promotion))
    offer, _ = await get_request_to_decide(db, decision, [getattr(Promotion, name) for name in _Offer._fields], _Offer)
    if offer.new_org_id is not None:
        return offer.new_org_id
    if (refused := await decline_if_name_differs(db, PROMOTION, user, org_id, promotion_id)) is not None:
        return refused
    new_id = await operations.insert_org(db, user, name=offer.name, region_code=offer.region_code, kind=Kind(org.kind))
    certification_id = await begin_edge(db, org_id, new_id, requested_by=user.user_id, decided_by=offer.requested_by)
    moved = await move_unit_into_org(db, cipher, user.actor, org_id, offer.unit_id, new_id)
    await ensure_admin_row(db, cipher, user.actor, new_id, user.user_id)
    # A user who registers during this transaction can see neither the old rows nor the new rows. Also, if one account
    # matched two rows, one of the two may have moved. Therefore a job activates rows of both orgs after the commit.
    for changed_id in (org_id, new_id):
        await enqueue_row_activations(db, changed_id)
    await decide_request(db, decision, user.user_id, new_org_id=new_id)  # the user may have declined it meanwhile
    of_moved_units = (Promotion.org_id == org_id, Promotion.unit_id.in_(moved.unit_ids))
    await finish_requests(db, PROMOTION, State.SUPERSEDED, *of_moved_units, actor=user.actor, of_org=None)
    after = {
        "org_id": str(org_id),
        "unit_id": str(offer.unit_id),
        "new_org_id": str(new_id),
        "units": len(moved.unit_ids) - 1,
        "people": moved.people,
    }
    edge = {"superior_id": str(org_id), "subordinate_id": str(new_id)}
    for audited_id, actor in ((org_id, user.actor.get_actor_for_other_org()), (new_id, user.actor)):
        await record(db, actor, "unit.promoted", org_id=audited_id, subject=("unit", offer.unit_id), after=after)
        subject = ("certification", certification_id)
        await record(db, actor, "certification.created", org_id=audited_id, subject=subject, after=edge)
    return new_id


def _build_decision(state: State, user: UserScope, promotion_id: UUID, repeated: ColumnElement[bool]) -> Decision:
    conditions = _is_offer_to(user, promotion_id)
    return Decision(PROMOTION, state, conditions, PromotionDecided, PromotionExpired, repeated)


def _is_offer_to(user: UserScope, promotion_id: UUID) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that select this offer if it is made to the user."""
    return Promotion.id == promotion_id, is_offered_to(Promotion, user.user_id)


async def _get_offering_org_id(db: AsyncConnection, user: UserScope, promotion_id: UUID) -> UUID:
    """Return the org that made this offer to the user; the offer may have any state. Raises NotFound."""
    org_id: UUID | None = await db.scalar(select(Promotion.org_id).where(*_is_offer_to(user, promotion_id)))
    if org_id is None:
        raise NotFound
    return org_id
