"""Reads of promotions: the offers of an org, and the offer made to a user."""

from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from sqlalchemy import Uuid, and_, bindparam, distinct, func, select

from app.admins.invitees import is_offered_to
from app.approvals.kinds import PROMOTION
from app.core.cipher import Cipher
from app.core.phones import mask
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.database.rows import one_or_404
from app.hierarchy import tree
from app.orgs.regions import format_region_path
from app.promotions.schemas import OfferedPromotionOut, PromotionOut
from app.schema.approvals import State
from app.schema.auth import User
from app.schema.members import UnitMembership
from app.schema.orgs import Org, Promotion, Unit


class _Offer(NamedTuple):
    id: UUID
    unit_id: UUID
    unit_name: str
    name: str
    region_code: str
    phone_cipher: bytes | None
    state: str
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    reason: Literal["name-differs"] | None
    new_org_id: UUID | None


_ORG_ID = bindparam("org_id", type_=Uuid())
_OFFERS = (
    select(
        Promotion.id,
        Promotion.unit_id,
        Unit.name.label("unit_name"),
        Promotion.name,
        Promotion.region_code,
        Promotion.phone_cipher,
        PROMOTION.state,
        Promotion.requested_at,
        Promotion.expires_at,
        Promotion.decided_at,
        Promotion.reason,
        Promotion.new_org_id,
    )
    .join(Unit, and_(Unit.org_id == Promotion.org_id, Unit.id == Promotion.unit_id))
    .where(Promotion.org_id == _ORG_ID)
)
_OFFER = _OFFERS.where(Promotion.id == bindparam("promotion_id"))
_PROMOTIONS = PagedStatement(_OFFERS, Promotion.id.desc(), row=_Offer)


def _build_promotion(cipher: Cipher, row: _Offer) -> PromotionOut:
    return PromotionOut(
        id=row.id,
        unit_id=row.unit_id,
        unit_name=row.unit_name,
        name=row.name,
        region_code=row.region_code,
        phone=None if row.phone_cipher is None else mask(cipher.decrypt_text(row.phone_cipher, row.id)),
        state=State(row.state),
        requested_at=row.requested_at,
        expires_at=row.expires_at,
        decided_at=row.decided_at,
        reason=row.reason,
        new_org_id=row.new_org_id,
    )


async def list_promotions(db: Readable, cipher: Cipher, org_id: UUID, paging: Paging) -> Page[PromotionOut]:
    """Return the org's offers, the newest first, with masked phones."""
    found = await _PROMOTIONS.fetch(db, paging, org_id=org_id)
    return Page[PromotionOut].from_slice(found.map(lambda row: _build_promotion(cipher, row)))


async def get_promotion(db: Readable, cipher: Cipher, org_id: UUID, promotion_id: UUID) -> PromotionOut:
    """Return one promotion that the org has offered. Raises NotFound."""
    parameters = {"org_id": org_id, "promotion_id": promotion_id}
    return _build_promotion(cipher, await one_or_404(db, _OFFER, _Offer, parameters))


class _ReceivedOffer(NamedTuple):
    id: UUID
    org_id: UUID
    org_name: str
    unit_id: UUID
    unit_name: str
    name: str
    region_code: str
    requested_by: str | None
    expires_at: datetime


_RECEIVED_OFFER = (
    select(
        Promotion.id,
        Promotion.org_id,
        Org.name.label("org_name"),
        Promotion.unit_id,
        Unit.name.label("unit_name"),
        Promotion.name,
        Promotion.region_code,
        User.verified_name.label("requested_by"),
        Promotion.expires_at,
    )
    .join(Org, Org.id == Promotion.org_id)
    .join(Unit, and_(Unit.org_id == Promotion.org_id, Unit.id == Promotion.unit_id))
    .join(User, User.id == Promotion.requested_by)
    .where(Promotion.id == bindparam("promotion_id"), PROMOTION.waiting)
    .where(is_offered_to(Promotion, bindparam("user_id", type_=Uuid())))
)
_SUBTREE = tree.build_unit_subtree(_ORG_ID, bindparam("unit_id", type_=Uuid()))
_COUNT_PEOPLE = select(func.count(distinct(UnitMembership.member_id))).where(
    UnitMembership.org_id == _ORG_ID, UnitMembership.unit_id.in_(select(_SUBTREE.c.id)), UnitMembership.until.is_(None)
)


async def get_offered_promotion(db: Readable, user_id: UUID, promotion_id: UUID) -> OfferedPromotionOut:
    """Return a waiting offer that is made to the user. Raises NotFound."""
    row = await one_or_404(db, _RECEIVED_OFFER, _ReceivedOffer, {"user_id": user_id, "promotion_id": promotion_id})
    people = await db.execute(_COUNT_PEOPLE, {"org_id": row.org_id, "unit_id": row.unit_id})
    return OfferedPromotionOut(
        id=row.id,
        org_id=row.org_id,
        org_name=row.org_name,
        unit_name=row.unit_name,
        name=row.name,
        region_code=row.region_code,
        region=format_region_path(row.region_code),
        people=people.scalar_one(),
        requested_by=row.requested_by,
        expires_at=row.expires_at,
    )
