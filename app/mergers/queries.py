"""Reads of mergers, for one of the two orgs, and of the units and people that a merger would move."""

import hashlib
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Uuid, bindparam, exists, func, or_, select
from sqlalchemy.orm import aliased

from app.approvals.kinds import MERGER
from app.certification.previews import list_chain
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.database.rows import fetch_rows, one_or_404
from app.hierarchy import tree
from app.mergers.schemas import MergerDetailOut, MergerOut, MergerPreviewOut
from app.schema.approvals import State
from app.schema.auth import User
from app.schema.members import Member
from app.schema.orgs import Merger, Org, Unit

_ORG_ID = bindparam("org_id", type_=Uuid())
_TO_ID = bindparam("to_id", type_=Uuid())
_To = aliased(Org, name="to_org")
_MERGERS = (
    select(
        Merger.id,
        Merger.org_id,
        Org.name.label("org_name"),
        Merger.to_id,
        _To.name.label("to_name"),
        MERGER.state,
        User.verified_name.label("requested_by"),
        Merger.requested_at,
        Merger.expires_at,
        Merger.decided_at,
        Merger.reason,
        Merger.people,
        Merger.in_both,
        Merger.units,
    )
    .join(Org, Org.id == Merger.org_id)
    .join(_To, _To.id == Merger.to_id)
    .join(User, User.id == Merger.requested_by)
    .where(or_(Merger.org_id == _ORG_ID, Merger.to_id == _ORG_ID))
)
_MERGER = _MERGERS.where(Merger.id == bindparam("merger_id"))
_NEWEST_FIRST = PagedStatement(_MERGERS, Merger.id.desc(), row=MergerOut)


async def list_mergers(db: Readable, org_id: UUID, paging: Paging) -> Page[MergerOut]:
    """Return the mergers that the org has requested and those in which it is the receiving org, the newest first."""
    return Page[MergerOut].from_slice(await _NEWEST_FIRST.fetch(db, paging, org_id=org_id))


async def get_merger(db: Readable, org_id: UUID, merger_id: UUID, *, suppress_below: int) -> MergerDetailOut:
    """Return one merger of which the org is one side. A waiting merger has a preview. Raises NotFound.

    The org that requested the merger cannot see who is in the other org, so its preview does not contain the number of
    people who are in both orgs.
    The receiving org does not see a number of people below `suppress_below`.
    """
    found = await one_or_404(db, _MERGER, MergerOut, {"org_id": org_id, "merger_id": merger_id})
    preview = None
    if found.state is State.PENDING:
        both = {"org_id": found.org_id, "to_id": found.to_id}
        counts = _Counts(*(await db.execute(_COUNTS, both)).one())
        is_receiving = org_id == found.to_id
        is_withheld = is_receiving and 0 < counts.people < suppress_below
        preview = MergerPreviewOut(
            version=await compute_preview_version(db, found.org_id, found.to_id),
            units=counts.units,
            people=None if is_withheld else counts.people,
            in_both=counts.in_both if is_receiving and not is_withheld else None,
            clashing_units=await list_clashing_units(db, found.org_id, found.to_id, None) if is_receiving else None,
        )
    return MergerDetailOut(**found.model_dump(), preview=preview)


class _Counts(NamedTuple):
    units: int
    people: int
    in_both: int


_There = aliased(Member, name="there")
_IS_THERE = exists().where(
    _There.org_id == _TO_ID,
    _There.removed_at.is_(None),
    or_(_There.user_id == Member.user_id, _There.phone_index == Member.phone_index),
)
_LIVE_ROWS = (Member.org_id == _ORG_ID, Member.removed_at.is_(None))
_COUNTS = select(
    select(func.count()).where(Unit.org_id == _ORG_ID, Unit.removed_at.is_(None)).scalar_subquery(),
    select(func.count()).where(*_LIVE_ROWS).scalar_subquery(),
    select(func.count()).where(*_LIVE_ROWS, _IS_THERE).scalar_subquery(),
)


class _PreviewUnit(NamedTuple):
    id: UUID
    parent_id: UUID | None
    name: str


_UNITS = (
    select(Unit.id, Unit.parent_id, Unit.name)
    .where(Unit.org_id == _ORG_ID, Unit.removed_at.is_(None))
    .order_by(Unit.id)
)


async def compute_preview_version(db: Readable, org_id: UUID, to_id: UUID) -> str:
    """Return the digest of what a merger changes apart from people: 32 hexadecimal digits.

    It covers the superiors of both orgs and the units of the org that merges.
    """
    digest = hashlib.sha256()
    for side in (org_id, to_id):
        for org in await list_chain(db, side):
            digest.update(f"\n{org.distance} {org.id}".encode())
    for unit in await fetch_rows(db, _UNITS, _PreviewUnit, {"org_id": org_id}):
        digest.update(f"\n{unit.id} {unit.parent_id} {unit.name}".encode())
    return digest.hexdigest()[:32]


_Here = aliased(Unit, name="here")
_CLASHING = (
    select(Unit.name)
    .where(
        Unit.org_id == _ORG_ID,
        Unit.parent_id.is_(None),
        Unit.removed_at.is_(None),
        exists().where(
            _Here.org_id == _TO_ID,
            _Here.parent_id.is_not_distinct_from(bindparam("unit_id", type_=Uuid())),
            _Here.removed_at.is_(None),
            func.name_key(_Here.name) == func.name_key(Unit.name),
        ),
    )
    .order_by(Unit.position)
)


async def list_clashing_units(db: Readable, org_id: UUID, to_id: UUID, unit_id: UUID | None) -> list[str]:
    """Return the names of those units directly under `org_id` whose names are taken at the new place: by a unit of
    `to_id` directly under `unit_id` (None: under the org itself)."""
    clashing = await db.execute(_CLASHING, {"org_id": org_id, "to_id": to_id, "unit_id": unit_id})
    return [name for (name,) in clashing.all()]


_PATHS = tree.build_unit_paths(_ORG_ID)
_HEIGHT = select(func.coalesce(func.max(_PATHS.c.distance) + 1, 0))
_DEPTH = select(_PATHS.c.distance + 1).where(_PATHS.c.id == bindparam("unit_id", type_=Uuid()))


async def count_unit_levels(db: Readable, org_id: UUID) -> int:
    """Return the height of the org's unit tree: 0 without units."""
    height: int | None = (await db.execute(_HEIGHT, {"org_id": org_id})).scalar_one()
    return height or 0


async def find_unit_depth(db: Readable, org_id: UUID, unit_id: UUID) -> int | None:
    """Return the level of a live unit of the org (1: directly under it), or None if there is no such unit."""
    found = (await db.execute(_DEPTH, {"org_id": org_id, "unit_id": unit_id})).one_or_none()
    return None if found is None else found[0]
