"""Reads of the units of one org level by level, for whoever opens its tree a branch at a time."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import exists, func, literal, select
from sqlalchemy.orm import aliased

from app.database.db import Readable
from app.database.rows import fetch_rows
from app.hierarchy import tree
from app.schema.orgs import Unit

_Below = aliased(Unit, name="below")


class ChildUnitRow(NamedTuple):
    """A unit, and whether there are units under it."""

    id: UUID
    parent_id: UUID | None
    name: str
    kind: str
    version: int
    has_units: bool


class UnitPathRow(NamedTuple):
    """A unit with its path; `distance` is its depth below the org."""

    id: UUID
    name: str
    kind: str
    path: str
    distance: int


async def list_child_units(db: Readable, org_id: UUID, parent_id: UUID | None, limit: int) -> list[ChildUnitRow]:
    """The units directly under one (None: under the org itself), by position."""
    has_units = exists().where(_Below.org_id == org_id, _Below.parent_id == Unit.id, _Below.removed_at.is_(None))
    statement = (
        select(Unit.id, Unit.parent_id, Unit.name, Unit.kind, Unit.version, has_units.label("has_units"))
        .where(Unit.org_id == org_id, Unit.removed_at.is_(None))
        .where(Unit.parent_id.is_(None) if parent_id is None else Unit.parent_id == parent_id)
        .order_by(Unit.position, Unit.id)
        .limit(limit)
    )
    return await fetch_rows(db, statement, ChildUnitRow)


async def list_unit_chain(db: Readable, org_id: UUID, unit_id: UUID) -> Sequence[UUID]:
    """The unit and the units that it stands under, from the top down; none where the org has no such unit."""
    paths = tree.unit_paths(org_id)
    target = select(paths.c.path).where(paths.c.id == unit_id).scalar_subquery()
    on_the_way = func.starts_with(target + "/", paths.c.path + "/")
    statement = select(paths.c.id).where(on_the_way).order_by(paths.c.distance)
    return (await db.scalars(statement)).all()


async def list_units_by_path(db: Readable, org_id: UUID, wanted: str, limit: int) -> list[UnitPathRow]:
    """The units whose path holds `wanted` (all of them for an empty text), in the order of the tree."""
    paths = tree.unit_paths(org_id)
    statement = (
        select(Unit.id, Unit.name, Unit.kind, paths.c.path, paths.c.distance)
        .join(paths, paths.c.id == Unit.id)
        .where(Unit.org_id == org_id)
        .order_by(paths.c.sort)
        .limit(limit)
    )
    if wanted:
        statement = statement.where(func.strpos(func.lower(paths.c.path), literal(wanted.lower())) > 0)
    return await fetch_rows(db, statement, UnitPathRow)
