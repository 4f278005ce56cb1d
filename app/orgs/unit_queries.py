"""Reads of the units of one org level by level, for whoever opens its tree a branch at a time."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Integer, Text, Uuid, bindparam, exists, func, select
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


_ORG_ID = bindparam("org_id", type_=Uuid())
_LIMIT = bindparam("limit", type_=Integer())
_CHILDREN = (
    select(
        Unit.id,
        Unit.parent_id,
        Unit.name,
        Unit.kind,
        Unit.version,
        exists()
        .where(_Below.org_id == _ORG_ID, _Below.parent_id == Unit.id, _Below.removed_at.is_(None))
        .label("has_units"),
    )
    .where(Unit.org_id == _ORG_ID, Unit.removed_at.is_(None))
    .order_by(Unit.position, Unit.id)
    .limit(_LIMIT)
)
_CHILDREN_OF_ORG = _CHILDREN.where(Unit.parent_id.is_(None))
_CHILDREN_OF_UNIT = _CHILDREN.where(Unit.parent_id == bindparam("parent_id"))

_PATHS = tree.unit_paths(_ORG_ID)
_TARGET = select(_PATHS.c.path).where(_PATHS.c.id == bindparam("unit_id")).scalar_subquery()
_CHAIN = select(_PATHS.c.id).where(func.starts_with(_TARGET + "/", _PATHS.c.path + "/")).order_by(_PATHS.c.distance)
_BY_PATH = (
    select(Unit.id, Unit.name, Unit.kind, _PATHS.c.path, _PATHS.c.distance)
    .join(_PATHS, _PATHS.c.id == Unit.id)
    .where(Unit.org_id == _ORG_ID, func.strpos(func.lower(_PATHS.c.path), bindparam("wanted", type_=Text())) > 0)
    .order_by(_PATHS.c.sort)
    .limit(_LIMIT)
)


async def list_child_units(db: Readable, org_id: UUID, parent_id: UUID | None, limit: int) -> list[ChildUnitRow]:
    """The units directly under one (None: under the org itself), by position."""
    given = {"org_id": org_id, "limit": limit}
    if parent_id is None:
        return await fetch_rows(db, _CHILDREN_OF_ORG, ChildUnitRow, given)
    return await fetch_rows(db, _CHILDREN_OF_UNIT, ChildUnitRow, given | {"parent_id": parent_id})


async def list_unit_chain(db: Readable, org_id: UUID, unit_id: UUID) -> Sequence[UUID]:
    """The unit and the units that it stands under, from the top down; none where the org has no such unit."""
    return (await db.scalars(_CHAIN, {"org_id": org_id, "unit_id": unit_id})).all()


async def list_units_by_path(db: Readable, org_id: UUID, wanted: str, limit: int) -> list[UnitPathRow]:
    """The units whose path holds `wanted` (all of them for an empty text), in the order of the tree."""
    given = {"org_id": org_id, "wanted": wanted.lower(), "limit": limit}
    return await fetch_rows(db, _BY_PATH, UnitPathRow, given)
