"""Reads of promotions: the org's offers, and what is offered to one person."""

from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import Select, and_, distinct, func, select

from app.admins.invitees import is_offered_to
from app.approvals.kinds import PROMOTION
from app.core.cipher import Cipher
from app.core.phones import mask
from app.database.db import Readable
from app.database.paging import Page, Paging, fetch_page
from app.database.rows import one_or_404
from app.hierarchy import tree
from app.orgs.regions import path_of
from app.promotions.schemas import OfferedPromotionOut, PromotionOut
from app.schema.approvals import State
from app.schema.auth import User
from app.schema.members import Place
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


def _promotions(org_id: UUID) -> Select[*tuple[Any, ...]]:
    return (
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
        .where(Promotion.org_id == org_id)
    )


def _promotion_out(cipher: Cipher, row: _Offer) -> PromotionOut:
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
    """The org's offers, newest first, phones masked."""
    found = await fetch_page(db, _promotions(org_id), paging, Promotion.id.desc(), row=_Offer)
    return Page[PromotionOut].from_slice(found.map(lambda row: _promotion_out(cipher, row)))


async def get_promotion(db: Readable, cipher: Cipher, org_id: UUID, promotion_id: UUID) -> PromotionOut:
    """One of the org's offers. Raises NotFound."""
    return _promotion_out(cipher, await one_or_404(db, _promotions(org_id).where(Promotion.id == promotion_id), _Offer))


class _OfferToMe(NamedTuple):
    id: UUID
    org_id: UUID
    org_name: str
    unit_id: UUID
    unit_name: str
    name: str
    region_code: str
    requested_by: str | None
    expires_at: datetime


async def get_offered_promotion(db: Readable, user_id: UUID, promotion_id: UUID) -> OfferedPromotionOut:
    """An offer that the user can answer, found by their own phone. Raises NotFound."""
    statement = (
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
        .where(Promotion.id == promotion_id, PROMOTION.waiting)
        .where(is_offered_to(Promotion, user_id))
    )
    row = await one_or_404(db, statement, _OfferToMe)
    below = tree.units_below(row.org_id, row.unit_id)
    people = select(func.count(distinct(Place.member_id))).where(
        Place.org_id == row.org_id, Place.unit_id.in_(select(below.c.id)), Place.until.is_(None)
    )
    return OfferedPromotionOut(
        id=row.id,
        org_id=row.org_id,
        org_name=row.org_name,
        unit_name=row.unit_name,
        name=row.name,
        region_code=row.region_code,
        region=path_of(row.region_code),
        people=(await db.execute(people)).scalar_one(),
        requested_by=row.requested_by,
        expires_at=row.expires_at,
    )
