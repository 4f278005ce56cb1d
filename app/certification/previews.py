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
from app.database.paging import Paging
from app.database.rows import fetch_rows
from app.hierarchy import tree
from app.reports.overviews import Listing
from app.reports.periods import Period, Span
from app.reports.schemas import Sort
from app.reports.visible_reports import Requester, get_overview
from app.schema.orgs import Org


@dataclass(frozen=True, slots=True)
class TransferFigures:
    """What a transfer moves: the org and its subtree (`orgs`), their people, each counted once (`people`), and these
    people's points of the last 30 days (`points`). People and points are None if reports withhold them.

    The new superior's reports contain the points after the transfer, because points belong to the user.
    """

    orgs: int
    people: int | None
    points: int | None


class TransferEdges(Protocol):
    """The two superiors of a transfer, and the certification that it ends."""

    @property
    def from_id(self) -> UUID: ...
    @property
    def to_id(self) -> UUID: ...
    @property
    def certification_id(self) -> UUID: ...


_ANCESTORS = tree.build_ancestors(bindparam("org_id", type_=Uuid()))
_CHAIN = (
    select(Org.id, Org.name, _ANCESTORS.c.distance)
    .join(_ANCESTORS, _ANCESTORS.c.id == Org.id)
    .order_by(_ANCESTORS.c.distance)
)


_SUBTREE = tree.build_subtree(bindparam("org_id", type_=Uuid()))
_COUNT_ORGS = select(func.count()).select_from(_SUBTREE)
_ONE_SUBORDINATE = Listing(Sort.NAME, descending=False, paging=Paging(1, None))


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


async def count_transfer_figures(db: Readable, requester: Requester) -> TransferFigures:
    """Return how many orgs, people and points move if the requester's org is transferred.

    The requester sees the people and points that the org's report shows them, and no other.
    """
    report = await get_overview(db, requester, Span(today(), Period.MONTH.days), _ONE_SUBORDINATE)
    orgs = await db.scalar(_COUNT_ORGS, {"org_id": requester.org_id})
    assert orgs is not None  # a count
    return TransferFigures(orgs=orgs, people=report.subtree.members, points=report.subtree.points)
