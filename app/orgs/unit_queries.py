"""Reads of the units of one org: level by level, for a tree that the user opens one branch at a time, and the paths of
all units."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Integer, Text, Uuid, all_, any_, bindparam, exists, func, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import aliased

from app.database.db import Readable
from app.database.rows import fetch_rows
from app.hierarchy import tree
from app.orgs.queries import UNIT_ENDED
from app.schema.orgs import Unit

_SubUnit = aliased(Unit, name="sub_unit")


class ChildUnitRow(NamedTuple):
    """A unit, and whether it has sub-units. `left`: the number of its siblings from it on."""

    id: UUID
    parent_id: UUID | None
    name: str
    kind: str
    ended: bool
    version: int
    position: int
    has_units: bool
    left: int


class UnitPathRow(NamedTuple):
    """A unit with its path. `distance` is the number of units above it; 0 is a unit directly under the org. `sort` is
    its place in the tree; `left` is the number of matching units from the first row on."""

    id: UUID
    name: str
    kind: str
    path: str
    distance: int
    sort: str
    left: int


_ORG_ID = bindparam("org_id", type_=Uuid())
_LIMIT = bindparam("limit", type_=Integer())
_CHILDREN = (
    select(
        Unit.id,
        Unit.parent_id,
        Unit.name,
        Unit.kind,
        UNIT_ENDED.label("ended"),
        Unit.version,
        Unit.position,
        exists()
        .where(_SubUnit.org_id == _ORG_ID, _SubUnit.parent_id == Unit.id, _SubUnit.removed_at.is_(None))
        .label("has_units"),
        func.count().over().label("left"),
    )
    .where(
        Unit.org_id == _ORG_ID,
        Unit.removed_at.is_(None),
        tuple_(Unit.position, Unit.id)
        > tuple_(bindparam("after_position", type_=Integer()), bindparam("after_id", type_=Uuid())),
    )
    .order_by(Unit.position, Unit.id)
    .limit(_LIMIT)
)
_CHILDREN_OF_ORG = _CHILDREN.where(Unit.parent_id.is_(None))
_CHILDREN_OF_UNIT = _CHILDREN.where(Unit.parent_id == bindparam("parent_id"))

_PATHS = tree.build_unit_paths(_ORG_ID)
_TARGET = select(_PATHS.c.path).where(_PATHS.c.id == bindparam("unit_id")).scalar_subquery()
_CHAIN = select(_PATHS.c.id).where(func.starts_with(_TARGET + "/", _PATHS.c.path + "/")).order_by(_PATHS.c.distance)
_WITH_PATH = select(
    Unit.id, Unit.name, Unit.kind, _PATHS.c.path, _PATHS.c.distance, _PATHS.c.sort, func.count().over().label("left")
).join(_PATHS, _PATHS.c.id == Unit.id)
_BY_PATH = (
    _WITH_PATH.where(
        Unit.org_id == _ORG_ID,
        func.strpos(func.lower(_PATHS.c.path), bindparam("wanted", type_=Text())) > 0,
        _PATHS.c.sort > bindparam("after", type_=Text()),
        Unit.id != all_(bindparam("without", type_=ARRAY(Uuid))),
    )
    .order_by(_PATHS.c.sort)
    .limit(_LIMIT)
)
_BY_ID = _WITH_PATH.where(Unit.org_id == _ORG_ID, Unit.id == any_(bindparam("ids", type_=ARRAY(Uuid)))).order_by(
    _PATHS.c.sort
)
_ALL_PATHS = select(_PATHS.c.path).order_by(_PATHS.c.sort)
_ALL_PATHS_BY_ID = select(_PATHS.c.id, _PATHS.c.path)
_FIRST = (-1, UUID(int=0))


async def list_child_units(
    db: Readable, org_id: UUID, parent_id: UUID | None, limit: int, after: tuple[int, UUID] = _FIRST
) -> list[ChildUnitRow]:
    """Return the units directly under a unit (None: under the org itself), ordered by position, `after` the position
    and id of one of them."""
    parameters = {"org_id": org_id, "limit": limit, "after_position": after[0], "after_id": after[1]}
    if parent_id is None:
        return await fetch_rows(db, _CHILDREN_OF_ORG, ChildUnitRow, parameters)
    return await fetch_rows(db, _CHILDREN_OF_UNIT, ChildUnitRow, parameters | {"parent_id": parent_id})


async def list_unit_chain(db: Readable, org_id: UUID, unit_id: UUID) -> Sequence[UUID]:
    """Return the ids of the unit and of the units that contain it, from the top down. The result is empty if the org
    has no such unit."""
    return (await db.scalars(_CHAIN, {"org_id": org_id, "unit_id": unit_id})).all()


async def list_units_by_path(
    db: Readable, org_id: UUID, wanted: str, limit: int, *, after: str = "", without: Sequence[UUID] = ()
) -> list[UnitPathRow]:
    """Return the units whose path contains `wanted` (all units for an empty text), in the order of the tree, `after`
    the place of one of them and without these."""
    parameters = {"org_id": org_id, "wanted": wanted.lower(), "limit": limit, "after": after, "without": list(without)}
    return await fetch_rows(db, _BY_PATH, UnitPathRow, parameters)


async def list_units_by_id(db: Readable, org_id: UUID, ids: Sequence[UUID]) -> list[UnitPathRow]:
    """Return those of these units that the org has, in the order of the tree."""
    return await fetch_rows(db, _BY_ID, UnitPathRow, {"org_id": org_id, "ids": list(ids)}) if ids else []


async def list_unit_paths(db: Readable, org_id: UUID) -> list[str]:
    """Return the paths of the org's units as sheets name them (`党总支/支部`), in the order of the tree."""
    return list((await db.scalars(_ALL_PATHS, {"org_id": org_id})).all())


async def list_unit_paths_by_id(db: Readable, org_id: UUID) -> dict[UUID, str]:
    """Return the paths of the org's units by the unit's id."""
    return {row.id: row.path for row in (await db.execute(_ALL_PATHS_BY_ID, {"org_id": org_id})).all()}
