"""Every recursive CTE of the service: the hierarchy of orgs and the units of one org, seeded at the node asked about.

The hierarchy is adjacency: an edge is a live certification. Neither depth nor path is stored, so that moving a
subtree of any size is one row. CYCLE is a net under the trigger: a walk ends even in a broken tree.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import CTE, ColumnElement, Uuid, exists, literal, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.certification.tables import Certification
from app.orgs.tables import Unit

# The key of the advisory lock that every edit of the hierarchy takes before it looks at anything.
HIERARCHY_LOCK = 0x7875657A75


async def lock_hierarchy(db: AsyncConnection) -> None:
    """Serialize with every other edit of the hierarchy until this transaction ends.

    Must be a statement of its own and the first of the edit: under READ COMMITTED only statements that begin
    after the lock is held see what the edit before it committed.
    """
    await db.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": HIERARCHY_LOCK})


def ancestors(org_id: UUID | ColumnElement[UUID], name: str = "ancestors") -> CTE:
    """The org (distance 0) and every org above it, nearest first by `distance`. Columns: id, distance."""
    seed = literal(org_id, Uuid()) if isinstance(org_id, UUID) else org_id
    walk = select(seed.label("id"), literal(0).label("distance")).cte(name, recursive=True)
    step = select(Certification.superior_id, walk.c.distance + 1).where(
        Certification.subordinate_id == walk.c.id, Certification.state == "certified"
    )
    return _net(walk.union_all(step))


def subtree(org_id: UUID | ColumnElement[UUID], name: str = "subtree") -> CTE:
    """The org (distance 0) and every org below it. Columns: id, distance."""
    seed = literal(org_id, Uuid()) if isinstance(org_id, UUID) else org_id
    walk = select(seed.label("id"), literal(0).label("distance")).cte(name, recursive=True)
    step = select(Certification.subordinate_id, walk.c.distance + 1).where(
        Certification.superior_id == walk.c.id, Certification.state == "certified"
    )
    return _net(walk.union_all(step))


def units_below(org_id: UUID, unit_id: UUID, name: str = "units_below") -> CTE:
    """The unit and every unit under it, in its own org. Columns: id, distance."""
    walk = select(literal(unit_id, Uuid()).label("id"), literal(0).label("distance")).cte(name, recursive=True)
    step = select(Unit.id, walk.c.distance + 1).where(Unit.org_id == org_id, Unit.parent_id == walk.c.id)
    return _net(walk.union_all(step))


def unit_paths(org_id: UUID, name: str = "unit_paths") -> CTE:
    """Every unit of the org with the names from the top down to it. Columns: id, path (`党总支/支部`), distance."""
    top = select(Unit.id, Unit.name.label("path"), literal(0).label("distance")).where(
        Unit.org_id == org_id, Unit.parent_id.is_(None)
    )
    walk = top.cte(name, recursive=True)
    step = select(Unit.id, walk.c.path + "/" + Unit.name, walk.c.distance + 1).where(
        Unit.org_id == org_id, Unit.parent_id == walk.c.id
    )
    return _net(walk.union_all(step))


def is_at_or_below(org_id: UUID, other_id: UUID) -> Any:
    """Whether `org_id` is `other_id` or stands somewhere under it, as a selectable boolean."""
    above = ancestors(org_id)
    return select(exists(select(above.c.id).where(above.c.id == literal(other_id, Uuid()))))


def _net(walk: CTE) -> CTE:
    return walk.suffix_with(text("CYCLE id SET is_circle USING walked"))
