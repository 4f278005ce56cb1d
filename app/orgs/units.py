"""Writes of the units inside an org: the rule, the SQL, the audit entry and the outgoing event, in one function each.

Every edit holds the org's row, so that two edits of one tree never cross; the database's own triggers repeat it.
"""

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Uuid, bindparam, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.kinds import PROMOTION
from app.approvals.requests import finish_all
from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.database.db import on_constraint
from app.database.rows import one_or_404
from app.hierarchy import tree
from app.orgs.errors import UnitHasPeople, UnitHasUnits, UnitNameTaken, UnitTooDeep, UnitUnderItself, UnknownUnit
from app.orgs.locks import lock_orgs_for_edit
from app.orgs.unit_schemas import UnitCreate, UnitUpdate
from app.schema.approvals import State
from app.schema.orgs import Promotion, Unit
from app.web.etags import require_version

_REFUSALS = (
    ("units_org_id_parent_id_name_key", UnitNameTaken),
    ("units_parent_fkey", UnknownUnit),
    ("units_parent_check", UnitUnderItself),
    ("units_no_circle", UnitUnderItself),
)


class _LiveUnit(NamedTuple):
    name: str
    kind: str
    parent_id: UUID | None
    position: int
    version: int


_ORG_ID = bindparam("org_id", type_=Uuid())
_UNIT_ID = bindparam("unit_id", type_=Uuid())
_INSERT = insert(Unit).returning(Unit.id)
# It sets the columns that it is run with.
_UPDATE = update(Unit).where(Unit.org_id == bindparam("of_org"), Unit.id == _UNIT_ID).values(version=Unit.version + 1)
_LIVE = select(Unit.name, Unit.kind, Unit.parent_id, Unit.position, Unit.version).where(
    Unit.org_id == _ORG_ID, Unit.id == _UNIT_ID, Unit.removed_at.is_(None)
)
_PATHS = tree.unit_paths(_ORG_ID)
_DEPTH = select(_PATHS.c.distance + 1).where(_PATHS.c.id == _UNIT_ID)
_BELOW = tree.units_below(_ORG_ID, _UNIT_ID)
_HEIGHT = select(func.max(_BELOW.c.distance) + 1, func.bool_or(_BELOW.c.id == bindparam("new_parent_id")))


async def create_unit(db: AsyncConnection, scope: OrgScope, body: UnitCreate) -> UUID:
    """Make a unit in the org's own tree, behind its siblings (S7, S10); gives its id.

    Raises UnitNameTaken, UnknownUnit (the parent), UnitTooDeep.
    """
    await lock_orgs_for_edit(db, scope)
    if body.parent_id is not None:
        await _refuse_deep(db, scope.org_id, body.parent_id, height=1)
    with on_constraint(*_REFUSALS):
        unit_id: UUID = (
            await db.execute(
                _INSERT, {"org_id": scope.org_id, "parent_id": body.parent_id, "name": body.name, "kind": body.kind}
            )
        ).scalar_one()
    after = {"name": body.name, "kind": body.kind, "parent_id": _text(body.parent_id)}
    await record(db, scope.actor, "unit.created", org_id=scope.org_id, subject=("unit", unit_id), after=after)
    return unit_id


async def update_unit(
    db: AsyncConnection, scope: OrgScope, unit_id: UUID, body: UnitUpdate, version: int | None
) -> None:
    """Rename a unit, move it with all that is under it, or put it elsewhere among its siblings (S7, S10).

    Raises NotFound, EditedMeanwhile, UnitNameTaken, UnknownUnit (the parent), UnitUnderItself, UnitTooDeep.
    """
    await lock_orgs_for_edit(db, scope)
    before = await _get_live(db, scope.org_id, unit_id, version)
    changed: dict[str, Any] = {}
    if body.name is not None and body.name != before.name:
        changed["name"] = body.name
    if body.kind is not None and body.kind != before.kind:
        changed["kind"] = body.kind
    if body.moves and body.parent_id != before.parent_id:
        changed["parent_id"] = body.parent_id
    parent_id = changed.get("parent_id", before.parent_id)
    if "parent_id" in changed and parent_id is not None:
        which = {"org_id": scope.org_id, "unit_id": unit_id, "new_parent_id": parent_id}
        height, under_itself = (await db.execute(_HEIGHT, which)).one()
        if under_itself:
            raise UnitUnderItself
        await _refuse_deep(db, scope.org_id, parent_id, height)
    if changed:
        with on_constraint(*_REFUSALS):
            await db.execute(_UPDATE, {"of_org": scope.org_id, "unit_id": unit_id, **changed})
    if "parent_id" in changed or body.position is not None:
        position = await _put_among_siblings(db, scope.org_id, parent_id, unit_id, body.position)
        if "parent_id" not in changed and position != before.position:
            changed["position"] = position
    if not changed:
        return
    await record(
        db,
        scope.actor,
        "unit.updated",
        org_id=scope.org_id,
        subject=("unit", unit_id),
        before={name: _shown(getattr(before, name)) for name in changed},
        after={name: _shown(value) for name, value in changed.items()},
    )


_ORDER = text("""
WITH siblings AS (
    SELECT id, row_number() OVER (ORDER BY position, id) - 1 AS place FROM units
    WHERE org_id = :org_id AND parent_id IS NOT DISTINCT FROM CAST(:parent_id AS uuid) AND id <> :unit_id
      AND removed_at IS NULL
), wanted AS (
    SELECT least(coalesce(CAST(:position AS int), count(*)), count(*)) AS place FROM siblings
), ordered AS (
    SELECT s.id, CASE WHEN s.place < w.place THEN s.place ELSE s.place + 1 END AS place FROM siblings s, wanted w
    UNION ALL SELECT CAST(:unit_id AS uuid), place FROM wanted
), moved AS (
    UPDATE units SET position = ordered.place, version = version + 1 FROM ordered
    WHERE units.org_id = :org_id AND units.id = ordered.id AND units.position <> ordered.place
)
SELECT place FROM wanted
""")


async def _put_among_siblings(
    db: AsyncConnection, org_id: UUID, parent_id: UUID | None, unit_id: UUID, position: int | None
) -> int:
    """Number the siblings from 0 with the unit at its position (None, or one too large: behind all)."""
    where = {"org_id": org_id, "parent_id": parent_id, "unit_id": unit_id, "position": position}
    place: int = (await db.execute(_ORDER, where)).scalar_one()
    return place


# Members before their unit memberships, as everywhere.
_HOLD_PEOPLE = text("""
SELECT FROM members WHERE org_id = :org_id AND id IN (
    SELECT member_id FROM unit_memberships WHERE org_id = :org_id AND unit_id = :unit_id AND until IS NULL
) ORDER BY id FOR UPDATE
""")
_MOVE_PEOPLE = text("""
WITH ended AS (
    UPDATE unit_memberships SET until = clock_timestamp()
    WHERE org_id = :org_id AND unit_id = :unit_id AND until IS NULL RETURNING member_id
), begun AS (
    INSERT INTO unit_memberships (org_id, member_id, unit_id, since)
    SELECT :org_id, member_id, :target_id, clock_timestamp() FROM ended
    ON CONFLICT DO NOTHING
), touched AS (
    UPDATE members AS m SET version = version + 1 FROM ended WHERE m.org_id = :org_id AND m.id = ended.member_id
)
SELECT count(*) FROM ended
""")


async def remove_unit(
    db: AsyncConnection, scope: OrgScope, unit_id: UUID, move_people_to: UUID | None, version: int | None
) -> None:
    """Take a unit out of the tree; its row stays for the unit memberships of past days (S7).

    Its people are moved to another unit where one is named. Raises NotFound, EditedMeanwhile, UnitHasUnits,
    UnitHasPeople, UnknownUnit (where they are to move).
    """
    await lock_orgs_for_edit(db, scope)
    before = await _get_live(db, scope.org_id, unit_id, version)
    moved = 0
    if move_people_to is not None:
        live = select(Unit.id).where(Unit.org_id == scope.org_id, Unit.id == move_people_to, Unit.removed_at.is_(None))
        if move_people_to == unit_id or await db.scalar(live) is None:
            raise UnknownUnit
        # Whoever is just being placed here holds the unit by reference: wait for them, then move them too.
        await db.execute(select(Unit.id).where(Unit.org_id == scope.org_id, Unit.id == unit_id).with_for_update())
        where = {"org_id": scope.org_id, "unit_id": unit_id}
        await db.execute(_HOLD_PEOPLE, where)
        moved = (await db.execute(_MOVE_PEOPLE, where | {"target_id": move_people_to})).scalar_one()
    with on_constraint(("units_removed_leaf", UnitHasUnits), ("units_removed_empty", UnitHasPeople)):
        await db.execute(
            update(Unit)
            .where(Unit.org_id == scope.org_id, Unit.id == unit_id)
            .values(removed_at=func.clock_timestamp(), version=Unit.version + 1)
        )
    offered = (Promotion.org_id == scope.org_id, Promotion.unit_id == unit_id)
    await finish_all(db, PROMOTION, State.SUPERSEDED, *offered)
    await record(
        db,
        scope.actor,
        "unit.removed",
        org_id=scope.org_id,
        subject=("unit", unit_id),
        before={"name": before.name, "kind": before.kind, "parent_id": _text(before.parent_id)},
        after={"people_moved_to": str(move_people_to), "people": moved} if moved else None,
    )


async def _get_live(db: AsyncConnection, org_id: UUID, unit_id: UUID, version: int | None) -> _LiveUnit:
    """The unit as it is before the change. Raises NotFound, EditedMeanwhile."""
    unit = await one_or_404(db, _LIVE, _LiveUnit, {"org_id": org_id, "unit_id": unit_id})
    require_version(unit.version, version)
    return unit


async def _refuse_deep(db: AsyncConnection, org_id: UUID, parent_id: UUID, height: int) -> None:
    """Raise UnitTooDeep where units of this height under the parent would nest too deep."""
    depth = await db.scalar(_DEPTH, {"org_id": org_id, "unit_id": parent_id})
    if depth is not None and depth + height > tree.UNIT_DEPTH:
        raise UnitTooDeep


def _text(identity: UUID | None) -> str | None:
    return None if identity is None else str(identity)


def _shown(value: object) -> object:
    return str(value) if isinstance(value, UUID) else value
