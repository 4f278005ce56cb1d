"""Writes of the units of an org. Each function has the rule, the SQL, the audit entry and the outgoing event.

Every edit locks the org's row, so that the edits of one tree run one after the other. Triggers in the database check
the tree again.
"""

from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Uuid, bindparam, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.kinds import PROMOTION
from app.approvals.requests import finish_requests
from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.database.db import on_constraint
from app.database.rows import one_or_404
from app.hierarchy import tree
from app.orgs.errors import (
    LastDayMismatch,
    UnitHasPeople,
    UnitHasUnits,
    UnitNameTaken,
    UnitTooDeep,
    UnitUnderItself,
    UnknownUnit,
)
from app.orgs.locks import lock_orgs_for_edit
from app.orgs.unit_schemas import UnitCreate, UnitUpdate
from app.schema.approvals import State
from app.schema.orgs import Promotion, Unit
from app.web.etags import ReadVersion, require_version

_UNIT_ERRORS = (
    ("units_org_id_parent_id_name_key", UnitNameTaken),
    ("units_parent_fkey", UnknownUnit),
    ("units_parent_check", UnitUnderItself),
    ("units_no_circle", UnitUnderItself),
)


TEMPORARY_BRANCH = "temporary-branch"


class _LiveUnit(NamedTuple):
    name: str
    kind: str
    last_day: date | None
    parent_id: UUID | None
    position: int
    version: int


_ORG_ID = bindparam("org_id", type_=Uuid())
_UNIT_ID = bindparam("unit_id", type_=Uuid())
_INSERT = insert(Unit).returning(Unit.id)
# It sets those columns for which a call gives a parameter.
_UPDATE = update(Unit).where(Unit.org_id == bindparam("of_org"), Unit.id == _UNIT_ID).values(version=Unit.version + 1)
_LIVE = select(Unit.name, Unit.kind, Unit.last_day, Unit.parent_id, Unit.position, Unit.version).where(
    Unit.org_id == _ORG_ID, Unit.id == _UNIT_ID, Unit.removed_at.is_(None)
)
_PATHS = tree.build_unit_paths(_ORG_ID)
_DEPTH = select(_PATHS.c.distance + 1).where(_PATHS.c.id == _UNIT_ID)
_SUBTREE = tree.build_unit_subtree(_ORG_ID, _UNIT_ID)
_HEIGHT = select(func.max(_SUBTREE.c.distance) + 1, func.bool_or(_SUBTREE.c.id == bindparam("new_parent_id")))


async def create_unit(db: AsyncConnection, scope: OrgScope, body: UnitCreate) -> UUID:
    """Insert a unit into the org's tree, after its siblings (S7, S10). Return its id.

    Raises UnitNameTaken, UnknownUnit (the parent), UnitTooDeep, LastDayMismatch.
    """
    _require_last_day(body.kind, body.last_day)
    await lock_orgs_for_edit(db, scope)
    if body.parent_id is not None:
        await _require_depth(db, scope.org_id, body.parent_id, height=1)
    with on_constraint(*_UNIT_ERRORS):
        unit_id: UUID = (
            await db.execute(
                _INSERT,
                {
                    "org_id": scope.org_id,
                    "parent_id": body.parent_id,
                    "name": body.name,
                    "kind": body.kind,
                    "last_day": body.last_day,
                },
            )
        ).scalar_one()
    after = {"name": body.name, "kind": body.kind, "parent_id": _format_id(body.parent_id)}
    if body.last_day is not None:
        after["last_day"] = body.last_day.isoformat()
    await record(db, scope.actor, "unit.created", org_id=scope.org_id, subject=("unit", unit_id), after=after)
    return unit_id


async def update_unit(
    db: AsyncConnection, scope: OrgScope, unit_id: UUID, body: UnitUpdate, version: ReadVersion
) -> None:
    """Rename a unit, move it with its sub-units, or change its position among its siblings (S7, S10).

    Raises NotFound, EditedMeanwhile, UnitNameTaken, UnknownUnit (the parent), UnitUnderItself, UnitTooDeep,
    LastDayMismatch.
    """
    await lock_orgs_for_edit(db, scope)
    before = await _get_live_unit(db, scope.org_id, unit_id, version)
    changed: dict[str, Any] = {}
    if body.name is not None and body.name != before.name:
        changed["name"] = body.name
    if body.kind is not None and body.kind != before.kind:
        changed["kind"] = body.kind
    kind = body.kind or before.kind
    last_day = body.last_day or (before.last_day if kind == TEMPORARY_BRANCH else None)
    _require_last_day(kind, last_day)
    if last_day != before.last_day:
        changed["last_day"] = last_day
    if body.has_parent and body.parent_id != before.parent_id:
        changed["parent_id"] = body.parent_id
    parent_id = changed.get("parent_id", before.parent_id)
    if "parent_id" in changed and parent_id is not None:
        parameters = {"org_id": scope.org_id, "unit_id": unit_id, "new_parent_id": parent_id}
        height, is_under_itself = (await db.execute(_HEIGHT, parameters)).one()
        if is_under_itself:
            raise UnitUnderItself
        await _require_depth(db, scope.org_id, parent_id, height)
    if changed:
        with on_constraint(*_UNIT_ERRORS):
            # The admins get a new message when a prolonged branch ends.
            reported = {"end_reported_at": None} if "last_day" in changed else {}
            await db.execute(_UPDATE, {"of_org": scope.org_id, "unit_id": unit_id, **changed, **reported})
    if "parent_id" in changed or body.position is not None:
        position = await _set_position(db, scope.org_id, parent_id, unit_id, body.position)
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
        before={name: _to_json(getattr(before, name)) for name in changed},
        after={name: _to_json(value) for name, value in changed.items()},
    )


def _require_last_day(kind: str, last_day: date | None) -> None:
    if (kind == TEMPORARY_BRANCH) != (last_day is not None):
        raise LastDayMismatch


_SET_POSITION = text("""
WITH siblings AS (
    SELECT id, row_number() OVER (ORDER BY position, id) - 1 AS new_position FROM units
    WHERE org_id = :org_id AND parent_id IS NOT DISTINCT FROM CAST(:parent_id AS uuid) AND id <> :unit_id
      AND removed_at IS NULL
), target AS (
    SELECT least(coalesce(CAST(:position AS int), count(*)), count(*)) AS new_position FROM siblings
), ordered AS (
    SELECT s.id, s.new_position + CASE WHEN s.new_position < t.new_position THEN 0 ELSE 1 END AS new_position
    FROM siblings s, target t
    UNION ALL SELECT CAST(:unit_id AS uuid), new_position FROM target
), moved AS (
    UPDATE units SET position = ordered.new_position, version = version + 1 FROM ordered
    WHERE units.org_id = :org_id AND units.id = ordered.id AND units.position <> ordered.new_position
)
SELECT new_position FROM target
""")


async def _set_position(
    db: AsyncConnection, org_id: UUID, parent_id: UUID | None, unit_id: UUID, position: int | None
) -> int:
    """Number the siblings from 0 with the unit at `position`. Return the unit's new position.

    With None or a position that is too large, the unit becomes the last sibling.
    """
    parameters = {"org_id": org_id, "parent_id": parent_id, "unit_id": unit_id, "position": position}
    new_position: int = (await db.execute(_SET_POSITION, parameters)).scalar_one()
    return new_position


# Every operation locks members before their unit memberships.
_LOCK_MEMBERS = text("""
SELECT FROM members WHERE org_id = :org_id AND id IN (
    SELECT member_id FROM unit_memberships WHERE org_id = :org_id AND unit_id = :unit_id AND until IS NULL
) ORDER BY id FOR UPDATE
""")
_MOVE_MEMBERS = text("""
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
    db: AsyncConnection, scope: OrgScope, unit_id: UUID, move_people_to: UUID | None, version: ReadVersion
) -> None:
    """Remove a unit from the tree (S7). Its row stays in the table for the unit memberships of past days.

    With `move_people_to`, its members move to that unit first. Pending promotions of the unit become superseded.

    Locks the org, then the unit FOR UPDATE, then its members by id. Raises NotFound, EditedMeanwhile, UnitHasUnits,
    UnitHasPeople, UnknownUnit (`move_people_to`).
    """
    await lock_orgs_for_edit(db, scope)
    before = await _get_live_unit(db, scope.org_id, unit_id, version)
    moved = 0
    if move_people_to is not None:
        live = select(Unit.id).where(Unit.org_id == scope.org_id, Unit.id == move_people_to, Unit.removed_at.is_(None))
        if move_people_to == unit_id or await db.scalar(live) is None:
            raise UnknownUnit
        # A concurrent transaction that adds a member to this unit has a shared lock on the unit, because of the foreign
        # key. This lock waits for that transaction, so that its member moves too.
        await db.execute(select(Unit.id).where(Unit.org_id == scope.org_id, Unit.id == unit_id).with_for_update())
        parameters = {"org_id": scope.org_id, "unit_id": unit_id}
        await db.execute(_LOCK_MEMBERS, parameters)
        moved = (await db.execute(_MOVE_MEMBERS, parameters | {"target_id": move_people_to})).scalar_one()
    with on_constraint(("units_removed_leaf", UnitHasUnits), ("units_removed_empty", UnitHasPeople)):
        await db.execute(
            update(Unit)
            .where(Unit.org_id == scope.org_id, Unit.id == unit_id)
            .values(removed_at=func.clock_timestamp(), version=Unit.version + 1)
        )
    promotions = (Promotion.org_id == scope.org_id, Promotion.unit_id == unit_id)
    await finish_requests(db, PROMOTION, State.SUPERSEDED, *promotions, actor=scope.actor, of_org=scope.org_id)
    await record(
        db,
        scope.actor,
        "unit.removed",
        org_id=scope.org_id,
        subject=("unit", unit_id),
        before={"name": before.name, "kind": before.kind, "parent_id": _format_id(before.parent_id)},
        after={"people_moved_to": str(move_people_to), "people": moved} if moved else None,
    )


async def _get_live_unit(db: AsyncConnection, org_id: UUID, unit_id: UUID, version: ReadVersion) -> _LiveUnit:
    """Return the live unit before the change. Raises NotFound, EditedMeanwhile."""
    unit = await one_or_404(db, _LIVE, _LiveUnit, {"org_id": org_id, "unit_id": unit_id})
    require_version(unit.version, version)
    return unit


async def _require_depth(db: AsyncConnection, org_id: UUID, parent_id: UUID, height: int) -> None:
    """Raise UnitTooDeep if a unit tree of this height (in levels) under the parent would be too deep."""
    depth = await db.scalar(_DEPTH, {"org_id": org_id, "unit_id": parent_id})
    if depth is not None and depth + height > tree.UNIT_DEPTH:
        raise UnitTooDeep


def _format_id(unit_id: UUID | None) -> str | None:
    return None if unit_id is None else str(unit_id)


def _to_json(value: object) -> object:
    return str(value) if isinstance(value, UUID | date) else value
