"""The preview of a transfer: the number of orgs, people and points that move, and the version of the preview (S20).

The figures inform the deciders and may change while they read. A decision depends only on the hierarchy around the org:
the edge that ends, the present superior's chain of superiors, and the new superior's chain of superiors. The version is
a digest of these. If the version has changed when an admin decides, the preview is stale.
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
from app.reports.recount import recount_figures
from app.reports.stored_totals import find_stored_days
from app.schema.orgs import Org
from app.schema.reports import OrgTotal


@dataclass(frozen=True, slots=True)
class TransferFigures:
    """What a transfer moves: the org and its subtree (`orgs`), their people, each counted once (`people`), and these
    people's points of the last 30 days (`points`).

    The new superior's reports contain the points after the transfer, because points belong to the user.
    """

    orgs: int
    people: int
    points: int


class TransferEdges(Protocol):
    """The two superiors of a transfer, and the certification that it ends."""

    @property
    def from_id(self) -> UUID: ...
    @property
    def to_id(self) -> UUID: ...
    @property
    def certification_id(self) -> UUID: ...


_ANCESTORS = tree.ancestors(bindparam("org_id", type_=Uuid()))
_CHAIN = (
    select(Org.id, Org.name, _ANCESTORS.c.distance)
    .join(_ANCESTORS, _ANCESTORS.c.id == Org.id)
    .order_by(_ANCESTORS.c.distance)
)


async def compute_preview_version(db: Readable, transfer: TransferEdges) -> str:
    """Return the digest of the present hierarchy around a transfer: 32 hexadecimal digits."""
    digest = hashlib.sha256(str(transfer.certification_id).encode())
    for superior_id in (transfer.from_id, transfer.to_id):
        for row in await list_chain(db, superior_id):
            digest.update(f"\n{row.distance} {row.id}".encode())
    return digest.hexdigest()[:32]


async def list_chain(db: Readable, org_id: UUID) -> list[SuperiorOut]:
    """Return the org and all its superiors: first the org, then its direct superior, and so on upwards."""
    return await fetch_rows(db, _CHAIN, SuperiorOut, {"org_id": org_id})


async def count_transfer_figures(db: Readable, org_id: UUID) -> TransferFigures:
    """Return how many orgs, people and points move if the org is transferred. The reports have the same numbers.

    They come from the stored totals, which can be a few seconds old, or from a recount if today has no stored totals.
    """
    span = Span(today(), Period.MONTH.days)
    if await find_stored_days(db, [span.until]):
        here = (OrgTotal.org_id == org_id, OrgTotal.day == span.until)
        figures = select(OrgTotal.members, OrgTotal.points_30.label("points")).where(*here).subquery()
    else:
        counted = recount_figures(org_id, span)
        figures = select(counted.c.members, counted.c.points).where(counted.c.scope == "subtree").subquery()
    subtree = tree.subtree(org_id)
    orgs = select(func.count()).select_from(subtree).scalar_subquery()
    people, points = (func.coalesce(func.sum(column), 0) for column in figures.c)  # an org without people has no row
    return TransferFigures(*(await db.execute(select(orgs, people, points))).one())
