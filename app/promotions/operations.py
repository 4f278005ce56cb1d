"""A unit becomes an org of its own (S7): offered to a person, and made by their accepting it (S19)."""

from typing import NamedTuple, NoReturn
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.admins.errors import InviteeNameDiffers
from app.admins.invitees import decline_of_other_name, invitee_columns, is_offered_to
from app.approvals.kinds import PROMOTION
from app.approvals.requests import finish, finish_all, open_request, raise_why_not, read_waiting
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
from app.schema.orgs import Promotion, Unit
from app.web.errors import NotFound


class _Offer(NamedTuple):
    unit_id: UUID
    name: str
    region_code: str
    requested_by: UUID


async def create_promotion(db: AsyncConnection, cipher: Cipher, scope: OrgScope, body: PromotionCreate) -> UUID:
    """Offer a person, by phone or by their member row, that a unit become an org of theirs. Returns the offer's id.

    Raises UnknownUnit, UnknownRegion, the name's errors (S3), SiblingNameTaken, UnknownMember, PromotionOpen.
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
    # Told early; the index decides when the edge is made.
    sibling = select(Certification.id).where(
        Certification.superior_id == scope.org_id,
        Certification.subordinate_name == body.name,
        Certification.state == CertificationState.LIVE,
    )
    if await db.scalar(sibling) is not None:
        raise SiblingNameTaken
    promotion_id = make_id()
    offered = await invitee_columns(db, cipher, scope.org_id, body.to, promotion_id)
    await open_request(
        db,
        PROMOTION,
        PromotionOpen,
        id=promotion_id,
        org_id=scope.org_id,
        unit_id=body.unit_id,
        name=body.name,
        region_code=region_code,
        requested_by=scope.user.user_id,
        **offered,
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
    """Take an offer back. Raises NotFound, PromotionDecided, PromotionExpired."""
    await lock_orgs_for_edit(db, scope)
    offer = (Promotion.id == promotion_id, Promotion.org_id == scope.org_id)
    if not await finish(db, PROMOTION, State.WITHDRAWN, *offer):
        await _raise_why_not(db, *offer)
    subject = ("promotion", promotion_id)
    await record(db, scope.actor, "promotion.withdrawn", org_id=scope.org_id, subject=subject)


async def refuse_promotion(db: AsyncConnection, user: UserScope, promotion_id: UUID) -> None:
    """Decline an offer made to oneself. Raises NotFound, PromotionDecided, PromotionExpired."""
    org_id = await _find_offering_org(db, user, promotion_id)
    offer = _made_to(user, promotion_id)
    if not await finish(db, PROMOTION, State.DECLINED, *offer):
        await _raise_why_not(db, *offer)
    subject = ("promotion", promotion_id)
    await record(db, user.actor.elsewhere(), "promotion.declined", org_id=org_id, subject=subject)


async def accept_promotion(
    db: AsyncConnection, cipher: Cipher, user: UserScope, promotion_id: UUID
) -> UUID | InviteeNameDiffers:
    """Make the org and be its main admin. Returns its id.

    A user who has another name than the member to whom it was offered is refused: the offer has ended, which is
    committed.

    In this one transaction: the org is made with the units under the unit; its people move with their unit memberships
    and activations (a member of other units of the old org stays there as well); the old unit memberships end; the unit
    is removed; the new org is certified under the old.

    Raises NotFound, RealNameRequired, PartyMemberRequired, OrgClosed, PromotionDecided, PromotionExpired,
    SiblingNameTaken, PhoneOfAnotherMember.
    """
    org_id = await _find_offering_org(db, user, promotion_id)
    user.require_real_name()
    await tree.lock_hierarchy(db)
    org = (await lock_orgs(db, org_id))[org_id]
    if org.status == "closed":
        raise OrgClosed
    if org.kind == Kind.PARTY and not user.party_member:
        raise PartyMemberRequired
    offer = await _read_offer(db, user, promotion_id)
    if (refused := await decline_of_other_name(db, PROMOTION, user, org_id, promotion_id)) is not None:
        return refused
    new_id = await operations.insert_org(db, user, name=offer.name, region_code=offer.region_code, kind=Kind(org.kind))
    edge = await begin_edge(db, org_id, new_id, requested_by=user.user_id, decided_by=offer.requested_by)
    moved = await move_unit_into_org(db, cipher, org_id, offer.unit_id, new_id)
    await ensure_admin_row(db, cipher, user.actor, new_id, user.user_id)
    # Who registers now sees neither the old rows nor the new; and of two rows that one account fits one may have moved.
    for touched in (org_id, new_id):
        await enqueue_row_activations(db, touched)
    if not await finish(db, PROMOTION, State.ACCEPTED, Promotion.id == promotion_id, new_org_id=new_id):
        raise PromotionDecided  # declined meanwhile
    below = (Promotion.org_id == org_id, Promotion.unit_id.in_(moved.units))
    await finish_all(db, PROMOTION, State.SUPERSEDED, *below)
    after = {
        "org_id": str(org_id),
        "unit_id": str(offer.unit_id),
        "new_org_id": str(new_id),
        "units": len(moved.units) - 1,
        "people": moved.people,
    }
    certified = {"superior_id": str(org_id), "subordinate_id": str(new_id)}
    for side, actor in ((org_id, user.actor.elsewhere()), (new_id, user.actor)):
        await record(db, actor, "unit.promoted", org_id=side, subject=("unit", offer.unit_id), after=after)
        subject = ("certification", edge)
        await record(db, actor, "certification.created", org_id=side, subject=subject, after=certified)
    return new_id


async def _raise_why_not(db: AsyncConnection, *which: ColumnElement[bool]) -> NoReturn:
    await raise_why_not(db, PROMOTION, *which, decided=PromotionDecided, expired=PromotionExpired)


def _made_to(user: UserScope, promotion_id: UUID) -> tuple[ColumnElement[bool], ...]:
    """The offer, where it was made to the user."""
    return Promotion.id == promotion_id, is_offered_to(Promotion, user.user_id)


async def _find_offering_org(db: AsyncConnection, user: UserScope, promotion_id: UUID) -> UUID:
    """The org of an offer made to the user, in any state. Raises NotFound."""
    found: UUID | None = await db.scalar(select(Promotion.org_id).where(*_made_to(user, promotion_id)))
    if found is None:
        raise NotFound
    return found


async def _read_offer(db: AsyncConnection, user: UserScope, promotion_id: UUID) -> _Offer:
    return await read_waiting(
        db,
        PROMOTION,
        *_made_to(user, promotion_id),
        columns=[Promotion.unit_id, Promotion.name, Promotion.region_code, Promotion.requested_by],
        row=_Offer,
        decided=PromotionDecided,
        expired=PromotionExpired,
    )
