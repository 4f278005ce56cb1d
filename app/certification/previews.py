"""What a transfer moves, and what it is based on (S20).

The figures are for people to read and may grow while they do; what a decision rests on is the hierarchy around the
org: the edge it leaves, the chain above the superior it leaves, and the chain above the one it goes to. A digest of
these is the preview's version: where it is another by the time of the decision, the preview was stale.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import distinct, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.members.tables import Member
from app.orgs import tree
from app.orgs.tables import Org


@dataclass(frozen=True, slots=True)
class Figures:
    """How much moves: the org and all below it, and their people, each counted once."""

    orgs: int
    people: int


async def preview_version(db: AsyncConnection, transfer: Any) -> str:
    """The digest of the hierarchy around a transfer, as it is now."""
    seen = hashlib.sha256(str(transfer.certification_id).encode())
    for side in (transfer.from_id, transfer.to_id):
        for row in await list_chain(db, side):
            seen.update(f"\n{row.distance} {row.id}".encode())
    return seen.hexdigest()[:32]


async def list_chain(db: AsyncConnection, org_id: UUID) -> Sequence[Any]:
    """The org and those above it, nearest first."""
    above = tree.ancestors(org_id)
    statement = select(Org.id, Org.name, above.c.distance).join(above, above.c.id == Org.id).order_by(above.c.distance)
    return (await db.execute(statement)).all()


async def count_what_moves(db: AsyncConnection, org_id: UUID) -> Figures:
    """Recounted from the sources, for one org that is about to move."""
    below = tree.subtree(org_id)
    person = func.coalesce(func.uuid_send(Member.user_id), Member.phone_index)
    statement = (
        select(func.count(distinct(below.c.id)), func.count(distinct(person)))
        .select_from(below)
        .outerjoin(Member, (Member.org_id == below.c.id) & Member.removed_at.is_(None))
    )
    orgs, people = (await db.execute(statement)).one()
    return Figures(orgs, people)
