"""Reads of an org's directory."""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Select,
    Uuid,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from app.approvals.kinds import LINK_REQUEST
from app.blind_index.keys import last4_parts
from app.core.cipher import Cipher
from app.core.phones import mask
from app.core.search import name_matches
from app.database.db import Readable
from app.database.paging import Page, Paging, fetch_page, paginate
from app.database.rows import fetch_row, fetch_rows, one_or_404
from app.hierarchy import tree
from app.members.schemas import InactiveReason, MemberOut
from app.schema.auth import User
from app.schema.members import Activation, LinkRequest, Member, Place
from app.schema.orgs import Unit

_Linked = aliased(User, name="linked")
_Holder = aliased(User, name="holder")
_Other = aliased(Member, name="other")


@dataclass(frozen=True, slots=True)
class MemberFilter:
    """Which of the org's people are asked for; None: whatever it is."""

    q: str | None = None
    unit_id: UUID | None = None
    units_below: bool = False
    at_org: bool | None = None
    active: bool | None = None
    party: bool | None = None
    verified: bool | None = None


class MemberRow(NamedTuple):
    """A person's row in the directory, their phone encrypted; `units` are objects of `id` and `name`."""

    id: UUID
    name: str
    phone_cipher: bytes
    party: bool
    version: int
    created_at: datetime
    active: bool
    inactive_reason: str | None
    link_request_id: UUID | None
    verified: bool
    units: list[dict[str, str]]
    at_org: bool


def _members(org_id: UUID) -> Select[Any]:
    """The org's live rows, as MemberRow has them."""
    standing = and_(Place.org_id == Member.org_id, Place.member_id == Member.id, Place.until.is_(None))
    unit = func.jsonb_build_object("id", Unit.id, "name", Unit.name)
    units = (
        select(func.coalesce(func.jsonb_agg(aggregate_order_by(unit, Unit.name)), func.jsonb_build_array()))
        .select_from(Place)
        .join(Unit, and_(Unit.org_id == Place.org_id, Unit.id == Place.unit_id))
        .where(standing)
        .correlate(Member)
        .scalar_subquery()
    )
    asked = _link_request()
    undone = exists().where(
        Activation.org_id == Member.org_id,
        Activation.member_id == Member.id,
        Activation.user_id == _Holder.id,
        Activation.undone_by.is_not(None),
    )
    here_already = exists().where(_Other.org_id == Member.org_id, _Other.user_id == _Holder.id)
    reason = case(
        (Member.user_id.is_not(None), None),
        (asked.is_not(None), InactiveReason.PHONE_MISMATCH),
        (_Holder.id.is_(None), InactiveReason.NEVER_REGISTERED),
        (here_already, InactiveReason.HERE_ALREADY),
        (undone, InactiveReason.UNLINKED),
        else_=InactiveReason.NAME_MISMATCH,
    )
    return (
        select(
            Member.id,
            Member.name,
            Member.phone_cipher,
            Member.party,
            Member.version,
            Member.created_at,
            Member.user_id.is_not(None).label("active"),
            reason.label("inactive_reason"),
            case((Member.user_id.is_(None), asked)).label("link_request_id"),
            _Linked.verified_name.is_not(None).label("verified"),
            units.cast(JSONB).label("units"),
            exists().where(standing, Place.unit_id.is_(None)).correlate(Member).label("at_org"),
        )
        .select_from(Member)
        .outerjoin(_Linked, _Linked.id == Member.user_id)
        .outerjoin(
            _Holder,
            and_(Member.user_id.is_(None), _Holder.phone_index == Member.phone_index, _Holder.status == "active"),
        )
        .where(Member.org_id == org_id, Member.removed_at.is_(None))
    )


def _link_request() -> ScalarSelect[Any]:
    """The oldest waiting request that fits the row: of its name, or by who holds its phone (S18)."""
    return (
        select(LinkRequest.id)
        .where(
            LinkRequest.org_id == Member.org_id,
            LINK_REQUEST.waiting,
            or_(LinkRequest.name_key == func.name_key(Member.name), LinkRequest.user_id == _Holder.id),
        )
        .order_by(LinkRequest.id)
        .limit(1)
        .correlate(Member, _Holder)
        .scalar_subquery()
    )


def _member_out(cipher: Cipher, row: MemberRow) -> MemberOut:
    """The row with its phone masked."""
    return MemberOut(**row._asdict(), phone=mask(cipher.decrypt_text(row.phone_cipher, row.id)))


async def list_members(
    db: Readable, cipher: Cipher, org_id: UUID, wanted: MemberFilter, paging: Paging
) -> Page[MemberOut]:
    """A page of the org's people, in the order in which they were added."""
    statement = _members(org_id)
    if wanted.unit_id is not None and wanted == MemberFilter(unit_id=wanted.unit_id, units_below=True):
        statement = statement.where(Member.id.in_(_first_below(org_id, wanted.unit_id, paging)))
    else:
        statement = statement.where(*_conditions(cipher, org_id, wanted))
    found = await fetch_page(db, statement, paging, Member.id, row=MemberRow)
    return Page[MemberOut].from_slice(found.map(partial(_member_out, cipher)))


async def stream_members(
    db: AsyncConnection, cipher: Cipher, org_id: UUID, wanted: MemberFilter, batch: int
) -> AsyncIterator[list[MemberRow]]:
    """All the people that the filter finds, in batches, with their phones encrypted."""
    statement = _members(org_id).where(*_conditions(cipher, org_id, wanted)).order_by(Member.id).limit(batch)
    rows = await fetch_rows(db, statement, MemberRow)
    while rows:
        yield rows
        rows = await fetch_rows(db, statement.where(Member.id > rows[-1].id), MemberRow)


async def count_members(
    db: Readable, cipher: Cipher, org_id: UUID, wanted: MemberFilter, *, most: int | None = None
) -> int:
    """How many of the org's people are asked for; where it is more than `most`, only that: one more.

    What is counted has to be looked at: without `most` it costs what the org has people.
    """
    statement = select(literal(1).label("one")).select_from(Member)
    if wanted.verified is not None:
        statement = statement.outerjoin(_Linked, _Linked.id == Member.user_id)
    statement = statement.where(
        Member.org_id == org_id, Member.removed_at.is_(None), *_conditions(cipher, org_id, wanted)
    )
    if most is not None:
        statement = statement.limit(most + 1)
    return (await db.execute(select(func.count()).select_from(statement.subquery()))).scalar_one()


async def get_member(db: Readable, cipher: Cipher, org_id: UUID, member_id: UUID) -> MemberOut:
    """One of the org's people. Raises NotFound."""
    return _member_out(cipher, await one_or_404(db, _members(org_id).where(Member.id == member_id), MemberRow))


async def list_members_by_id(
    db: Readable, cipher: Cipher, org_id: UUID, member_ids: Collection[UUID]
) -> dict[UUID, MemberOut]:
    """These of the org's people, by id."""
    wanted = Member.id == func.any(bindparam("member_ids", list(member_ids), type_=ARRAY(Uuid)))
    rows = await fetch_rows(db, _members(org_id).where(wanted), MemberRow)
    return {row.id: _member_out(cipher, row) for row in rows}


async def find_member_by_phone(
    db: AsyncConnection, cipher: Cipher, org_id: UUID, phone_index: bytes
) -> MemberOut | None:
    row = await fetch_row(db, _members(org_id).where(Member.phone_index == phone_index), MemberRow)
    return None if row is None else _member_out(cipher, row)


async def list_unit_paths(db: Readable, org_id: UUID) -> list[str]:
    """The org's units as sheets name them, `党总支/支部`, in their order."""
    paths = tree.unit_paths(org_id)
    return list((await db.scalars(select(paths.c.path).order_by(paths.c.sort))).all())


async def list_unit_paths_by_id(db: AsyncConnection, org_id: UUID) -> dict[UUID, str]:
    """The same by the unit's id."""
    paths = tree.unit_paths(org_id)
    return {row.id: row.path for row in (await db.execute(select(paths.c.id, paths.c.path))).all()}


def _conditions(cipher: Cipher, org_id: UUID, wanted: MemberFilter) -> Sequence[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.q is not None:
        found.append(_matches(cipher, org_id, wanted.q))
    if wanted.unit_id is not None:
        found.append(_stands_in(org_id, wanted.unit_id, below=wanted.units_below))
    if wanted.at_org is not None:
        at_org = exists().where(
            Place.org_id == org_id, Place.member_id == Member.id, Place.unit_id.is_(None), Place.until.is_(None)
        )
        found.append(at_org if wanted.at_org else ~at_org)
    if wanted.active is not None:
        found.append(Member.user_id.is_not(None) if wanted.active else Member.user_id.is_(None))
    if wanted.party is not None:
        found.append(Member.party.is_(wanted.party))
    if wanted.verified is not None:
        verified = _Linked.verified_name.is_not(None)
        found.append(verified if wanted.verified else ~verified)
    return found


def _matches(cipher: Cipher, org_id: UUID, wanted: str) -> ColumnElement[bool]:
    if wanted.isascii() and wanted.isdecimal():
        # Four digits are the end of a phone; no other number finds anybody: addresses are written to logs.
        by_phone = Member.phone_last4_index.in_(cipher.indexes(*last4_parts(org_id, wanted)))
        return by_phone if len(wanted) == 4 else false()
    return name_matches(
        wanted, name=Member.name, grams=Member.name_grams, pinyin=Member.pinyin, initials=Member.initials
    )


def _stands_in(org_id: UUID, unit_id: UUID, *, below: bool) -> ColumnElement[bool]:
    where = [Place.org_id == org_id, Place.member_id == Member.id, Place.until.is_(None)]
    if not below:
        return exists().where(*where, Place.unit_id == unit_id)
    units = select(tree.units_below(org_id, unit_id).c.id)
    # As an array it is made once, not looked through again for every person.
    return exists().where(*where, Place.unit_id == func.any(func.array(units.scalar_subquery())))


def _first_below(org_id: UUID, unit_id: UUID, paging: Paging) -> Select[UUID]:
    """The page's people of a unit and those under it: of each unit as many as the page could take, and the first of
    all these. So it costs the same however many people the org has, and however many of them stand there."""
    units = tree.units_below(org_id, unit_id)
    placed = select(Place.member_id).where(Place.org_id == org_id, Place.unit_id == units.c.id, Place.until.is_(None))
    some = paginate(placed, paging, Place.member_id).lateral("some")
    first = select(some.c.member_id).select_from(units).join(some, true()).distinct()
    return paginate(first, paging, some.c.member_id)
