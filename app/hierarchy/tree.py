"""Every recursive CTE of the service: over the hierarchy of orgs, and over the units of one org. Each starts at the
requested node.

The hierarchy is an adjacency list: an edge is a live certification. Neither depth nor path is stored, so a move of a
subtree of any size changes one edge. A trigger prevents circles. The CYCLE clause is a second safeguard: a recursion
ends even in a damaged tree.
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
    literal_column,
    null,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.locks import Lock, lock
from app.schema.approvals import CertificationState
from app.schema.certification import Certification
from app.schema.orgs import Org, Unit
from app.schema.reports import TreeEdge

# The maximum number of levels of units. The usual 党委 → 党总支 → 党支部 → 党小组 has four.
UNIT_DEPTH = 6


async def lock_hierarchy(db: AsyncConnection) -> None:
    """Lock the hierarchy until this transaction ends: edits of the hierarchy run one after the other.

    An edit takes this lock before all others, because rows that it read before the lock may have changed.
    """
    await lock(db, Lock.HIERARCHY)


_SUPERIOR = select(Certification.superior_id).where(
    Certification.subordinate_id == bindparam("org_id"), Certification.state == CertificationState.LIVE
)


async def find_superior_id(db: AsyncConnection, org_id: UUID) -> UUID | None:
    """Return the id of the org's present superior, or None. Takes no lock."""
    superior_id: UUID | None = await db.scalar(_SUPERIOR, {"org_id": org_id})
    return superior_id


def build_ancestors(org_id: UUID | BindParameter[UUID], name: str = "ancestors") -> CTE:
    """Build a CTE of the org (distance 0) and all its superiors. Columns: id, distance (1 is the direct superior)."""
    walk = select(_get_start(org_id).label("id"), literal(0).label("distance")).cte(name, recursive=True)
    step = select(Certification.superior_id, walk.c.distance + 1).where(
        Certification.subordinate_id == walk.c.id, Certification.state == CertificationState.LIVE
    )
    return _add_cycle_check(walk.union_all(step))


def is_under_one_of(org: type[Org], roots: Select[UUID]) -> ColumnElement[bool]:
    """Return the condition that the org of a row, or one of its superiors, is among `roots`. It is for a statement over
    `org`."""
    # A nested CTE starts at the current row of `org`. A CTE that is not nested would start at every org.
    walk = select(org.id.label("id")).correlate(org).cte("superiors", recursive=True, nesting=True)
    step = select(Certification.superior_id).where(
        Certification.subordinate_id == walk.c.id, Certification.state == CertificationState.LIVE
    )
    superiors = _add_cycle_check(walk.union_all(step))
    return exists(select(superiors.c.id).where(superiors.c.id.in_(roots))).correlate(org)


def build_subtree(org_id: UUID | BindParameter[UUID], name: str = "subtree") -> CTE:
    """Build a CTE of the org (distance 0) and all orgs in its subtree. Columns: id, distance."""
    return build_subtrees(select(_get_start(org_id)), name)


def build_subtrees(roots: Select[UUID], name: str = "subtrees") -> CTE:
    """Build a CTE of these orgs (distance 0) and all orgs in their subtrees. Columns: id, distance.

    An org that is in several subtrees has a row for each of them. PostgreSQL evaluates the recursion lazily, so a LIMIT
    on the CTE ends it early.
    """
    start = roots.subquery()
    walk = select(start.c[0].label("id"), literal(0).label("distance")).cte(name, recursive=True)
    step = select(Certification.subordinate_id, walk.c.distance + 1).where(
        Certification.superior_id == walk.c.id, Certification.state == CertificationState.LIVE
    )
    return _add_cycle_check(walk.union_all(step))


def build_branches(
    org_id: UUID | BindParameter[UUID], at: datetime | BindParameter[datetime], name: str = "branches"
) -> CTE:
    """Build a CTE of the org and all orgs in its subtree, in the hierarchy immediately before an instant.

    Columns: id, branch (the direct subordinate whose subtree contains the row's org; null for the org itself).
    """
    walk = select(_get_start(org_id).label("id"), null().cast(Uuid()).label("branch")).cte(name, recursive=True)
    step = select(
        Certification.subordinate_id, func.coalesce(walk.c.branch, Certification.subordinate_id).label("branch")
    ).where(Certification.superior_id == walk.c.id, is_edge_before(at))
    return _add_cycle_check(walk.union_all(step))


def build_ancestors_at(org_id: UUID, at: datetime, name: str = "ancestors_at") -> CTE:
    """Build a CTE of the org (distance 0) and all its superiors, in the hierarchy immediately before an instant.
    Columns: id, distance."""
    walk = select(literal(org_id, Uuid()).label("id"), literal(0).label("distance")).cte(name, recursive=True)
    step = select(Certification.superior_id, walk.c.distance + 1).where(
        Certification.subordinate_id == walk.c.id, is_edge_before(at)
    )
    return _add_cycle_check(walk.union_all(step))


def build_superiors_on(org_id: ColumnElement[UUID], days: ColumnElement[Any], name: str = "superiors_on") -> CTE:
    """Build a CTE of the superiors that the org had on each of `days` (an array), from the stored hierarchy of past
    days.

    Columns: day, id, subordinate_id (the direct subordinate of `id` whose subtree contains the org), distance.
    """
    requested = select(func.unnest(days).label("day")).subquery("requested_days")
    walk = (
        select(
            requested.c.day,
            TreeEdge.superior_id.label("id"),
            TreeEdge.subordinate_id,
            literal(1).label("distance"),
        )
        .where(TreeEdge.subordinate_id == org_id, TreeEdge.since <= requested.c.day, TreeEdge.before > requested.c.day)
        .cte(name, recursive=True)
    )
    step = select(walk.c.day, TreeEdge.superior_id, TreeEdge.subordinate_id, walk.c.distance + 1).where(
        TreeEdge.subordinate_id == walk.c.id, TreeEdge.since <= walk.c.day, TreeEdge.before > walk.c.day
    )
    return walk.union_all(step).suffix_with(text("CYCLE day, id SET is_circle USING walked"))


def is_edge_before(at: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    """Return the condition that a certification was an edge of the hierarchy immediately before an instant."""
    return and_(Certification.certified_at < at, or_(Certification.ended_at.is_(None), Certification.ended_at >= at))


def build_unit_subtree(
    org_id: UUID | ColumnElement[UUID], unit_id: UUID | ColumnElement[UUID], name: str = "unit_subtree"
) -> CTE:
    """Build a CTE of the unit (distance 0) and all live units in its subtree. Columns: id, distance."""
    walk = select(_get_start(unit_id).label("id"), literal(0).label("distance")).cte(name, recursive=True)
    step = select(Unit.id, walk.c.distance + 1).where(
        Unit.org_id == org_id, Unit.parent_id == walk.c.id, Unit.removed_at.is_(None)
    )
    return _add_cycle_check(walk.union_all(step))


def build_unit_paths(org_id: UUID | ColumnElement[UUID], name: str = "unit_paths") -> CTE:
    """Build a CTE of all live units of the org with their paths.

    Columns: id, path (the names from the top down: `党总支/支部`), sort (a sort key: each unit comes before its
    sub-units, and siblings are ordered by position), distance (0: directly under the org).
    """
    position = func.lpad(cast(Unit.position, Text), 8, "0")
    top = select(Unit.id, Unit.name.label("path"), position.label("sort"), literal(0).label("distance")).where(
        Unit.org_id == org_id, Unit.parent_id.is_(None), Unit.removed_at.is_(None)
    )
    walk = top.cte(name, recursive=True)
    # OFFSET 0 makes each step look its units up by the index. The planner expects few units in an org, and joined the
    # 5,000 units of a large one by comparing each with each: 2.5 s instead of 30 ms.
    below = (
        select(Unit.id, Unit.name, position.label("position"))
        .where(Unit.org_id == org_id, Unit.parent_id == walk.c.id, Unit.removed_at.is_(None))
        .offset(literal_column("0"))
        .lateral("below")
    )
    step = select(
        below.c.id, walk.c.path + "/" + below.c.name, walk.c.sort + "." + below.c.position, walk.c.distance + 1
    ).select_from(walk.join(below, true()))
    return _add_cycle_check(walk.union_all(step))


def unit_chains(units: Select[UUID, UUID | None], name: str = "unit_chains") -> CTE:
    """Build a CTE of these units (org and id) with the units that contain them, of any number of orgs.

    Columns: org_id, unit_id and name (of the unit at which the chain starts), id, parent_id, path (the names from `id`
    down to that unit). The row whose parent_id is NULL has the whole path.
    """
    start = units.subquery()
    walk = (
        select(Unit.org_id, Unit.id.label("unit_id"), Unit.name, Unit.id, Unit.parent_id, Unit.name.label("path"))
        .join(start, and_(start.c[0] == Unit.org_id, start.c[1] == Unit.id))
        .cte(name, recursive=True)
    )
    path = Unit.name + "/" + walk.c.path
    step = select(walk.c.org_id, walk.c.unit_id, walk.c.name, Unit.id, Unit.parent_id, path).where(
        Unit.org_id == walk.c.org_id, Unit.id == walk.c.parent_id
    )
    return _add_cycle_check(walk.union_all(step))


def build_unit_subtrees(org_id: ColumnElement[UUID], at: BindParameter[datetime], name: str = "unit_subtrees") -> CTE:
    """Build a CTE of pairs of units that the org had immediately before an instant. Columns: top, id.

    Each unit `top` has a row with itself and with each unit that is in its subtree now.
    """
    existed = and_(Unit.org_id == org_id, or_(Unit.removed_at.is_(None), Unit.removed_at >= at), Unit.created_at < at)
    walk = select(Unit.id.label("top"), Unit.id).where(existed).cte(name, recursive=True)
    step = select(walk.c.top, Unit.id).where(existed, Unit.parent_id == walk.c.id)
    return _add_cycle_check(walk.union_all(step))


def _get_start(org_id: UUID | ColumnElement[UUID]) -> ColumnElement[UUID]:
    """Return the id at which a recursion starts.

    A column element must be a single value such as a bound parameter. With a column of a table the recursion would
    start at every row of that table.
    """
    return literal(org_id, Uuid()) if isinstance(org_id, UUID) else org_id


def _add_cycle_check(walk: CTE) -> CTE:
    return walk.suffix_with(text("CYCLE id SET is_circle USING walked"))


_ANCESTORS = build_ancestors(bindparam("org_id", type_=Uuid()))
_IS_IN_SUBTREE = select(exists(select(_ANCESTORS.c.id).where(_ANCESTORS.c.id == bindparam("root_id"))))


async def is_in_subtree(db: AsyncConnection, org_id: UUID, root_id: UUID) -> bool:
    """Return whether `org_id` is `root_id` itself or an org in its subtree."""
    return bool(await db.scalar(_IS_IN_SUBTREE, {"org_id": org_id, "root_id": root_id}))
