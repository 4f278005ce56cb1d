"""Moves of all people of a unit to another unit of the same org (S20)."""

from typing import Any

from sqlalchemy import DateTime, TextClause, Uuid, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.database.db import on_constraint
from app.hierarchy import tree
from app.members.transfers.schemas import MoveCreate
from app.orgs.errors import UnknownUnit
from app.orgs.locks import lock_orgs_for_edit
from app.schema.orgs import Unit

_PARAMETER_TYPES: dict[str, TypeEngine[Any]] = {
    "org_id": Uuid(),
    "to_id": Uuid(),
    "units": ARRAY(Uuid),
    "now": DateTime(timezone=True),
}


def _make_statement(statement: str) -> TextClause:
    clause = text(statement)
    return clause.bindparams(*(bindparam(name, type_=_PARAMETER_TYPES[name]) for name in clause.compile().params))


# Every write locks the members in the order of their ids before it changes their unit memberships.
_LOCK_PEOPLE = _make_statement("""
SELECT id FROM members WHERE org_id = :org_id AND id IN (
    SELECT member_id FROM unit_memberships WHERE org_id = :org_id AND unit_id = ANY (:units) AND until IS NULL
) ORDER BY id FOR UPDATE
""")
_MOVE = _make_statement("""
WITH ended AS (
    UPDATE unit_memberships SET until = :now WHERE org_id = :org_id AND unit_id = ANY (:units) AND until IS NULL
    RETURNING member_id
), people AS (
    SELECT DISTINCT member_id FROM ended
), started AS (
    INSERT INTO unit_memberships (org_id, member_id, unit_id, since) SELECT :org_id, member_id, :to_id, :now FROM people
    ON CONFLICT DO NOTHING
)
UPDATE members AS m SET version = version + 1 FROM people WHERE m.org_id = :org_id AND m.id = people.member_id
""")


async def move_people(db: AsyncConnection, scope: OrgScope, body: MoveCreate) -> int:
    """Move all people of a unit to another unit or to the org itself. Return the number of people that moved.

    Their memberships in other units do not change. Locks the org for edit and the members. Raises UnknownUnit.
    """
    await lock_orgs_for_edit(db, scope)
    wanted = [body.from_unit_id, *([body.to_unit_id] if body.to_unit_id is not None else [])]
    live = select(func.count()).where(Unit.org_id == scope.org_id, Unit.id.in_(wanted), Unit.removed_at.is_(None))
    if (await db.execute(live)).scalar_one() != len(set(wanted)):
        raise UnknownUnit
    units = {body.from_unit_id}
    if body.units_below:
        subtree = tree.build_unit_subtree(scope.org_id, body.from_unit_id)
        units |= set((await db.scalars(select(subtree.c.id))).all())
    where = {"org_id": scope.org_id, "to_id": body.to_unit_id, "units": list(units - {body.to_unit_id})}
    await db.execute(_LOCK_PEOPLE, {name: where[name] for name in ("org_id", "units")})
    now = await db.scalar(select(func.clock_timestamp()))
    with on_constraint(("unit_memberships_unit_fkey", UnknownUnit)):
        moved = (await db.execute(_MOVE, where | {"now": now})).rowcount
    if moved:
        after = {"to_unit_id": str(body.to_unit_id) if body.to_unit_id else None, "people": moved}
        subject = ("unit", body.from_unit_id)
        await record(db, scope.actor, "unit.people_moved", org_id=scope.org_id, subject=subject, after=after)
    return moved
