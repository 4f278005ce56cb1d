"""Reads of the offers that a unit become an org of its own."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, case, distinct, func, select

from app.admins.invitees import phone_index_of
from app.core.cipher import Cipher
from app.core.db import Readable
from app.core.errors import NotFound
from app.core.paging import Paging
from app.core.phones import mask
from app.hierarchy import tree
from app.orgs.regions import path_of
from app.promotions.schemas import OfferedPromotionOut, PromotionOut
from app.schema.auth import User
from app.schema.members import Place
from app.schema.orgs import Org, Promotion, Unit


def _promotions() -> Select[*tuple[Any, ...]]:
    over = and_(Promotion.state == "offered", Promotion.expires_at <= func.now())
    return select(
        Promotion.id,
        Promotion.unit_id,
        Unit.name.label("unit_name"),
        Promotion.name,
        Promotion.region_code,
        Promotion.phone_cipher,
        case((over, "expired"), else_=Promotion.state).label("state"),
        Promotion.offered_at,
        Promotion.expires_at,
        Promotion.decided_at,
        Promotion.new_org_id,
    ).join(Unit, and_(Unit.org_id == Promotion.org_id, Unit.id == Promotion.unit_id))


def _promotion_out(cipher: Cipher, row: Any) -> PromotionOut:
    sealed = row.phone_cipher
    phone = None if sealed is None else mask(cipher.decrypt_text(sealed, row.id))
    return PromotionOut(**(dict(row._mapping) | {"phone": phone}))


async def list_promotions(db: Readable, cipher: Cipher, org_id: UUID, paging: Paging) -> Sequence[PromotionOut]:
    """The org's offers, newest first, phones masked."""
    statement = _promotions().where(Promotion.org_id == org_id).order_by(Promotion.id.desc()).limit(paging.limit + 1)
    if paging.after is not None:
        statement = statement.where(Promotion.id < paging.after[0])
    return [_promotion_out(cipher, row) for row in (await db.execute(statement)).all()]


async def get_promotion(db: Readable, cipher: Cipher, org_id: UUID, promotion_id: UUID) -> PromotionOut:
    """One of the org's offers. Raises NotFound."""
    one = _promotions().where(Promotion.org_id == org_id, Promotion.id == promotion_id)
    row = (await db.execute(one)).one_or_none()
    if row is None:
        raise NotFound
    return _promotion_out(cipher, row)


async def get_offered_promotion(db: Readable, user_id: UUID, promotion_id: UUID) -> OfferedPromotionOut:
    """An offer that waits for the user, found by their own phone; NotFound otherwise."""
    statement = (
        select(
            Promotion.id,
            Promotion.org_id,
            Org.name.label("org_name"),
            Promotion.unit_id,
            Unit.name.label("unit_name"),
            Promotion.name,
            Promotion.region_code,
            User.verified_name.label("offered_by"),
            Promotion.expires_at,
        )
        .join(Org, Org.id == Promotion.org_id)
        .join(Unit, and_(Unit.org_id == Promotion.org_id, Unit.id == Promotion.unit_id))
        .join(User, User.id == Promotion.offered_by)
        .where(Promotion.id == promotion_id, Promotion.state == "offered")
        .where(Promotion.phone_index == phone_index_of(user_id))
    )
    row = (await db.execute(statement)).one_or_none()
    if row is None:
        raise NotFound
    below = tree.units_below(row.org_id, row.unit_id)
    standing = select(func.count(distinct(Place.member_id))).where(
        Place.org_id == row.org_id, Place.unit_id.in_(select(below.c.id)), Place.until.is_(None)
    )
    people = (await db.execute(standing)).scalar_one()
    fields = dict(row._mapping)
    del fields["unit_id"]
    return OfferedPromotionOut(**fields, region=path_of(row.region_code), people=people)
