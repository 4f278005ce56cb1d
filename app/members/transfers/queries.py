"""Reads of transfers of people, as one of the two orgs sees them."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, case, func, literal, or_, select
from sqlalchemy.orm import aliased

from app.core.db import Readable
from app.core.errors import NotFound
from app.core.paging import Page, Paging
from app.members.transfers.schemas import PersonTransferOut
from app.schema.auth import User
from app.schema.members import Member
from app.schema.orgs import Org
from app.schema.person_transfers import PersonTransfer

_From = aliased(Org, name="from_org")
_To = aliased(Org, name="to_org")

THERE = and_(Member.org_id == PersonTransfer.org_id, Member.id == PersonTransfer.member_id, Member.removed_at.is_(None))
WAITS = and_(PersonTransfer.state == "asked", PersonTransfer.expires_at > func.now())


def _seen_by(org_id: UUID) -> Select[*tuple[Any, ...]]:
    waits = and_(WAITS, Member.id.is_not(None))
    out = PersonTransfer.org_id == org_id
    return (
        select(
            PersonTransfer.id,
            case((out, "out"), else_="in").label("direction"),
            _From.name.label("from_name"),
            _To.name.label("to_name"),
            case((waits, Member.name)).label("name"),
            case((waits, Member.party)).label("party"),
            case((out, PersonTransfer.member_id), else_=PersonTransfer.new_member_id).label("member_id"),
            case((and_(PersonTransfer.state == "asked", ~waits), "lapsed"), else_=PersonTransfer.state).label("state"),
            User.verified_name.label("asked_by"),
            PersonTransfer.asked_at,
            PersonTransfer.expires_at,
            PersonTransfer.decided_at,
            PersonTransfer.reason,
        )
        .join(_From, _From.id == PersonTransfer.org_id)
        .join(_To, _To.id == PersonTransfer.to_id)
        .join(User, User.id == PersonTransfer.asked_by)
        .outerjoin(Member, THERE)
        .where(or_(out, PersonTransfer.to_id == org_id))
    )


async def list_person_transfers(
    db: Readable, org_id: UUID, paging: Paging, direction: str | None
) -> Page[PersonTransferOut]:
    """A page of the transfers out of and into the org, newest first."""
    statement = _seen_by(org_id).order_by(PersonTransfer.id.desc()).limit(paging.limit + 1)
    if direction is not None:
        statement = statement.where((PersonTransfer.org_id == org_id) == literal(direction == "out"))
    if paging.after is not None:
        statement = statement.where(PersonTransfer.id < paging.after[0])
    rows = (await db.execute(statement)).all()
    return Page[PersonTransferOut].of(rows, paging, lambda row: (row.id,), PersonTransferOut)


async def get_person_transfer(db: Readable, org_id: UUID, transfer_id: UUID) -> PersonTransferOut:
    """One that the org is a side of. Raises NotFound."""
    row = (await db.execute(_seen_by(org_id).where(PersonTransfer.id == transfer_id))).one_or_none()
    if row is None:
        raise NotFound
    return PersonTransferOut.model_validate(row)
