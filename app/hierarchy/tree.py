"""Every recursive CTE of the service: the hierarchy of orgs and the units of one org, seeded at the node asked about.

The hierarchy is adjacency: an edge is a live certification. Neither depth nor path is stored, so that moving a
subtree of any size is one row. CYCLE is a net under the trigger: a walk ends even in a broken tree.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    BindParameter,
    ColumnElement,
    Select,
    Text,
    Uuid,
    and_,
    bindparam,
    cast,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.locks import Lock, lock
from app.schema.approvals import CertificationState
from app.schema.certification import Certification
from app.schema.orgs import Org, Unit
from app.schema.reports import TreeEdge

# How deep units nest at most: 党委 → 党总支 → 党支部 → 党小组 leaves two to spare.
UNIT_DEPTH = 6


async def lock_hierarchy(db: AsyncConnection) -> None:
    """Serialize with every other edit of the hierarchy until this transaction ends. An edit takes it first of all:
    what was read before it may have changed.
    """
    await lock(db, Lock.HIERARCHY)


_SUPERIOR = select(Certification.superior_id).where(
    Certification.subordinate_id == bindparam("org_id"), Certification.state == CertificationState.LIVE
)


async def find_superior_id(db: AsyncConnection, org_id: UUID) -> UUID | None:
    """The id of the org that this one is certified under now, None where there is none. Takes no lock."""
    found: UUID | None = await db.scalar(_SUPERIOR, {"org_id": org_id})
    return found


def ancestors(org_id: UUID | BindParameter[UUID], name: str = "ancestors") -> CTE:
    """The org (distance 0) and every org above it, nearest first by `distance`. Columns: id, distance."""
    walk = select(_seed(org_id).label("id"), literal(0).label("distance")).cte(name, recursive=True)
    step = select(Certification.superior_id, walk.c.distance + 1).where(
        Certification.subordinate_id == walk.c.id, Certification.state == CertificationState.LIVE
    )
    return _net(walk.union_all(step))


def is_under_one_of(org: type[Org], roots: Select[UUID]) -> ColumnElement[bool]:
    """Whether the org of a row, or one above it, is among `roots`: for the rows of a statement over `org`."""
    # Nested, so that it is seeded at the row that is asked about; one that is not would begin at every org.
    walk = select(org.id.label("id")).correlate(org).cte("above", recursive=True, nesting=True)
    step = select(Certification.superior_id).where(
        Certification.subordinate_id == walk.c.id, Certification.state == CertificationState.LIVE
    )
    above = _net(walk.union_all(step))
    return exists(select(above.c.id).where(above.c.id.in_(roots))).correlate(org)


def subtree(org_id: UUID | BindParameter[UUID], name: str = "subtree") -> CTE:
    """The org (distance 0) and every org below it. Columns: id, distance."""
    return subtrees(select(_seed(org_id)), name)


def subtrees(roots: Select[UUID], name: str = "subtrees") -> CTE:
    """These orgs (distance 0) and every org below them, once for each root above it. Columns: id, distance.

    Rows come as they are walked, so that a LIMIT on it ends the walk.
    """
    seeds = roots.subquery()
    walk = select(seeds.c[0].label("id"), literal(0).label("distance")).cte(name, recursive=True)
    step = select(Certification.subordinate_id, walk.c.distance + 1).where(
        Certification.superior_id == walk.c.id, Certification.state == CertificationState.LIVE
    )
    return _net(walk.union_all(step))


def branches(org_id: UUID | BindParameter[UUID], at: datetime | BindParameter[datetime], name: str = "branches") -> CTE:
    """The org and every org below it as the hierarchy stood right before an instant.

    Columns: id, branch (the direct subordinate that it is or stands under; null for the org itself).
    """
    walk = select(_seed(org_id).label("id"), null().cast(Uuid()).label("branch")).cte(name, recursive=True)
    step = select(
        Certification.subordinate_id, func.coalesce(walk.c.branch, Certification.subordinate_id).label("branch")
    ).where(Certification.superior_id == walk.c.id, stood_at(at))
    return _net(walk.union_all(step))


def ancestors_at(org_id: UUID, at: datetime, name: str = "ancestors_at") -> CTE:
    """The org (distance 0) and every org above it as the hierarchy stood right before an instant."""
    walk = select(literal(org_id, Uuid()).label("id"), literal(0).label("distance")).cte(name, recursive=True)
    step = select(Certification.superior_id, walk.c.distance + 1).where(
        Certification.subordinate_id == walk.c.id, stood_at(at)
    )
    return _net(walk.union_all(step))


def superiors_on(org_id: ColumnElement[UUID], days: ColumnElement[Any], name: str = "superiors_on") -> CTE:
    """Every org above one, on each of the days (an array), in the tree that the kept totals were rolled up with.

    Columns: day, id, below (the org right under it that is this one or stands above it), distance.
    """
    on = select(func.unnest(days).label("day")).subquery("on_days")
    walk = (
        select(
            on.c.day,
            TreeEdge.superior_id.label("id"),
            TreeEdge.subordinate_id.label("below"),
            literal(1).label("distance"),
        )
        .where(TreeEdge.subordinate_id == org_id, TreeEdge.since <= on.c.day, TreeEdge.before > on.c.day)
        .cte(name, recursive=True)
    )
    step = select(walk.c.day, TreeEdge.superior_id, TreeEdge.subordinate_id, walk.c.distance + 1).where(
        TreeEdge.subordinate_id == walk.c.id, TreeEdge.since <= walk.c.day, TreeEdge.before > walk.c.day
    )
    return walk.union_all(step).suffix_with(text("CYCLE day, id SET is_circle USING walked"))


def stood_at(at: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    """Whether a certification was an edge of the hierarchy right before an instant."""
    return and_(Certification.certified_at < at, or_(Certification.ended_at.is_(None), Certification.ended_at >= at))


def units_below(
    org_id: UUID | ColumnElement[UUID], unit_id: UUID | ColumnElement[UUID], name: str = "units_below"
) -> CTE:
    """The unit and every live unit under it, in its own org. Columns: id, distance."""
    walk = select(_seed(unit_id).label("id"), literal(0).label("distance")).cte(name, recursive=True)
    step = select(Unit.id, walk.c.distance + 1).where(
        Unit.org_id == org_id, Unit.parent_id == walk.c.id, Unit.removed_at.is_(None)
    )
    return _net(walk.union_all(step))


def unit_paths(org_id: UUID | ColumnElement[UUID], name: str = "unit_paths") -> CTE:
    """Every live unit of the org with the names from the top down to it.

    Columns: id, path (`党总支/支部`), sort (a text in whose order each unit comes before those under it, and siblings
    by position), distance (0: directly under the org).
    """
    place = func.lpad(cast(Unit.position, Text), 8, "0")
    top = select(Unit.id, Unit.name.label("path"), place.label("sort"), literal(0).label("distance")).where(
        Unit.org_id == org_id, Unit.parent_id.is_(None), Unit.removed_at.is_(None)
    )
    walk = top.cte(name, recursive=True)
    step = select(Unit.id, walk.c.path + "/" + Unit.name, walk.c.sort + "." + place, walk.c.distance + 1).where(
        Unit.org_id == org_id, Unit.parent_id == walk.c.id, Unit.removed_at.is_(None)
    )
    return _net(walk.union_all(step))


def unit_reaches(org_id: ColumnElement[UUID], at: BindParameter[datetime], name: str = "unit_reaches") -> CTE:
    """Each unit that the org had right before an instant, with itself and every unit now under it. Columns: top, id."""
    there = and_(Unit.org_id == org_id, or_(Unit.removed_at.is_(None), Unit.removed_at >= at), Unit.created_at < at)
    walk = select(Unit.id.label("top"), Unit.id).where(there).cte(name, recursive=True)
    step = select(walk.c.top, Unit.id).where(there, Unit.parent_id == walk.c.id)
    return _net(walk.union_all(step))


def _seed(org_id: UUID | ColumnElement[UUID]) -> ColumnElement[UUID]:
    """A column is a bound parameter or the like: that of a table would begin the walk at all of its rows."""
    return literal(org_id, Uuid()) if isinstance(org_id, UUID) else org_id


def _net(walk: CTE) -> CTE:
    return walk.suffix_with(text("CYCLE id SET is_circle USING walked"))


_ABOVE = ancestors(bindparam("org_id", type_=Uuid()))
_IS_AT_OR_BELOW = select(exists(select(_ABOVE.c.id).where(_ABOVE.c.id == bindparam("other_id"))))


async def is_at_or_below(db: AsyncConnection, org_id: UUID, other_id: UUID) -> bool:
    """Whether `org_id` is `other_id` or stands somewhere under it."""
    return bool(await db.scalar(_IS_AT_OR_BELOW, {"org_id": org_id, "other_id": other_id}))
