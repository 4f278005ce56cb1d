"""What a transfer moves, and what it is based on (S20).

The figures are for people to read and may grow while they do; what a decision rests on is the hierarchy around the
org: the edge it leaves, the chain above the superior it leaves, and the chain above the one it goes to. A digest of
these is the preview's version: where it is another by the time of the decision, the preview was stale.
"""

import hashlib
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from sqlalchemy import Uuid, bindparam, func, select

from app.certification.schemas import SuperiorOut
from app.core.calendar import today
from app.database.db import Readable
from app.database.rows import fetch_rows
from app.hierarchy import tree
from app.reports.periods import Period, Span
from app.reports.recount import recounted
from app.reports.stored_totals import find_kept
from app.schema.orgs import Org
from app.schema.reports import OrgTotal


@dataclass(frozen=True, slots=True)
class Moving:
    """How much moves: the org and all below it, their people, each counted once, and these people's points of the last
    30 days, which the reports of the new superior have from then on (an account keeps its points, wherever it is)."""

    orgs: int
    people: int
    points: int


class Transferring(Protocol):
    """The orgs of a transfer, and the edge that it leaves."""

    @property
    def from_id(self) -> UUID: ...
    @property
    def to_id(self) -> UUID: ...
    @property
    def certification_id(self) -> UUID: ...


_ABOVE = tree.ancestors(bindparam("org_id", type_=Uuid()))
_CHAIN = select(Org.id, Org.name, _ABOVE.c.distance).join(_ABOVE, _ABOVE.c.id == Org.id).order_by(_ABOVE.c.distance)


async def preview_version(db: Readable, transfer: Transferring) -> str:
    """The digest of the hierarchy around a transfer, as it is now."""
    seen = hashlib.sha256(str(transfer.certification_id).encode())
    for side in (transfer.from_id, transfer.to_id):
        for row in await list_chain(db, side):
            seen.update(f"\n{row.distance} {row.id}".encode())
    return seen.hexdigest()[:32]


async def list_chain(db: Readable, org_id: UUID) -> list[SuperiorOut]:
    """The org and those above it, nearest first."""
    return await fetch_rows(db, _CHAIN, SuperiorOut, {"org_id": org_id})


async def count_what_moves(db: Readable, org_id: UUID) -> Moving:
    """As the reports have it: off the kept totals, a few seconds old, or recounted where today's are not kept."""
    span = Span(today(), Period.MONTH.days)
    if await find_kept(db, [span.until]):
        here = (OrgTotal.org_id == org_id, OrgTotal.day == span.until)
        figures = select(OrgTotal.members, OrgTotal.points_30.label("points")).where(*here).subquery()
    else:
        counted = recounted(org_id, span)
        figures = select(counted.c.members, counted.c.points).where(counted.c.scope == "subtree").subquery()
    below = tree.subtree(org_id)
    orgs = select(func.count()).select_from(below).scalar_subquery()
    people, points = (func.coalesce(func.sum(column), 0) for column in figures.c)  # an org of nobody has no row
    return Moving(*(await db.execute(select(orgs, people, points))).one())
