"""Moves of people from a unit, with or without the units under it, to another unit of the same org (S20), and their
undoing."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Boolean, DateTime, Integer, TextClause, Uuid, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.database.db import Readable, on_constraint
from app.database.rows import fetch_rows
from app.hierarchy import tree
from app.members.transfers.schemas import (
    MoveCreate,
    MoveGroupOut,
    MoveOut,
    MovePreviewOut,
    MoveUndo,
    PreviewedMemberOut,
)
from app.orgs.errors import UnknownUnit
from app.orgs.locks import lock_orgs_for_edit
from app.schema.orgs import Unit

_MOST_GROUPS = 100
_MOST_PREVIEWED = 500
_PARAMETER_TYPES: dict[str, TypeEngine[Any]] = {
    "org_id": Uuid(),
    "to_id": Uuid(),
    "units": ARRAY(Uuid),
    "members": ARRAY(Uuid),
    "everywhere": Boolean(),
    "at_org": Boolean(),
    "chosen": Boolean(),
    "now": DateTime(timezone=True),
    "moved_at": DateTime(timezone=True),
    "most": Integer(),
}


# `stays`: an admin is always also at the org itself (S8), so that place does not end.
_ORIGIN = """
    SELECT p.id, p.member_id, p.unit_id, p.unit_id IS NULL AND EXISTS (
        SELECT FROM members AS m JOIN org_admins AS a ON a.org_id = m.org_id JOIN users AS u ON u.id = a.user_id
        WHERE m.org_id = :org_id AND m.id = p.member_id AND (u.id = m.user_id OR u.phone_index = m.phone_index
            AND NOT EXISTS (SELECT FROM members AS o WHERE o.org_id = :org_id AND o.user_id = u.id))
    ) AS stays
    FROM unit_memberships AS p
    WHERE p.org_id = :org_id AND p.until IS NULL AND p.unit_id IS DISTINCT FROM :to_id
      AND (:everywhere OR p.unit_id = ANY (:units) OR :at_org AND p.unit_id IS NULL)
      AND (NOT :chosen OR p.member_id = ANY (:members))
"""
# Only an admin who is at the org itself and in the target already is in the origin and not changed.
_CHANGED = """
    HAVING NOT bool_and(stays) OR NOT EXISTS (
        SELECT FROM unit_memberships AS t WHERE t.org_id = :org_id AND t.member_id = origin.member_id
          AND t.until IS NULL AND t.unit_id IS NOT DISTINCT FROM :to_id)
"""
_MOVED = """
    SELECT t.member_id FROM unit_memberships AS t
    WHERE t.org_id = :org_id AND t.until IS NULL AND (t.unit_id = :to_id OR :at_org AND t.unit_id IS NULL)
      AND (NOT :chosen OR t.member_id = ANY (:members))
      AND (t.since = :moved_at OR EXISTS (
        SELECT FROM unit_memberships AS p
        WHERE p.org_id = :org_id AND p.member_id = t.member_id AND p.until = :moved_at))
"""


def _make_statement(statement: str) -> TextClause:
    clause = text(statement.replace("{origin}", _ORIGIN).replace("{moved}", _MOVED).replace("{changed}", _CHANGED))
    return clause.bindparams(*(bindparam(name, type_=_PARAMETER_TYPES[name]) for name in clause.compile().params))


_PREVIEW = _make_statement("""
WITH origin AS ({origin})
SELECT member_id,
       array_remove(array_agg(CASE WHEN NOT stays THEN coalesce(CAST(unit_id AS text), '') END), NULL) AS places
FROM origin GROUP BY member_id {changed} ORDER BY member_id
""")
_PREVIEW_PEOPLE = _make_statement("""
WITH origin AS ({origin}), leaving AS (
    SELECT member_id, array_agg(unit_id) FILTER (WHERE NOT stays) AS places FROM origin GROUP BY member_id {changed}
)
SELECT m.id, m.name, ARRAY(
    SELECT p.unit_id FROM unit_memberships AS p
    WHERE p.org_id = :org_id AND p.member_id = m.id AND p.until IS NULL ORDER BY p.since, p.id
) AS before, coalesce(leaving.places, '{}') AS leaves
FROM leaving JOIN members AS m ON m.org_id = :org_id AND m.id = leaving.member_id
ORDER BY m.pinyin, m.name, m.id LIMIT :most
""")
# Every write locks the members in the order of their ids before it changes their unit memberships.
_LOCK_PEOPLE = _make_statement("""
SELECT id FROM members
WHERE org_id = :org_id AND id IN (SELECT member_id FROM ({origin}) AS origin) ORDER BY id FOR UPDATE
""")
_MOVE = _make_statement("""
WITH origin AS ({origin}), ended AS (
    UPDATE unit_memberships AS p SET until = :now FROM origin AS o
    WHERE p.org_id = :org_id AND p.id = o.id AND NOT o.stays
    RETURNING p.member_id, p.unit_id
), started AS (
    INSERT INTO unit_memberships (org_id, member_id, unit_id, since)
    SELECT DISTINCT CAST(:org_id AS uuid), member_id, CAST(:to_id AS uuid), CAST(:now AS timestamptz) FROM origin
    ON CONFLICT DO NOTHING
    RETURNING member_id
), people AS (
    SELECT member_id, coalesce(CAST(unit_id AS text), '') AS place FROM ended
    UNION ALL SELECT member_id, NULL FROM started
), edited AS (
    UPDATE members AS m SET version = version + 1
    FROM (SELECT DISTINCT member_id FROM people) AS p WHERE m.org_id = :org_id AND m.id = p.member_id
)
SELECT member_id, array_remove(array_agg(place), NULL) AS places FROM people GROUP BY member_id ORDER BY member_id
""")
_LOCK_MOVED = _make_statement("""
SELECT id FROM members WHERE org_id = :org_id AND id IN ({moved}) ORDER BY id FOR UPDATE
""")
# A person whose former units are all removed would be in no unit afterwards, and so is not moved.
_UNDO = _make_statement("""
WITH moved AS ({moved}), previous AS (
    SELECT p.member_id, p.unit_id, p.position
    FROM moved JOIN unit_memberships AS p ON p.org_id = :org_id AND p.member_id = moved.member_id
    LEFT JOIN units AS u ON u.org_id = p.org_id AND u.id = p.unit_id
    WHERE p.until = :moved_at AND (p.unit_id IS NULL OR u.removed_at IS NULL)
), ended AS (
    UPDATE unit_memberships AS t SET until = :now
    FROM moved
    WHERE t.org_id = :org_id AND t.member_id = moved.member_id AND t.until IS NULL AND t.since = :moved_at
      AND t.unit_id IS NOT DISTINCT FROM :to_id
      AND (EXISTS (SELECT FROM previous WHERE previous.member_id = t.member_id) OR EXISTS (
        SELECT FROM unit_memberships AS other
        WHERE other.org_id = :org_id AND other.member_id = t.member_id AND other.until IS NULL AND other.id <> t.id))
    RETURNING t.member_id
), started AS (
    INSERT INTO unit_memberships (org_id, member_id, unit_id, position, since)
    SELECT CAST(:org_id AS uuid), member_id, unit_id, position, CAST(:now AS timestamptz) FROM previous
    ON CONFLICT DO NOTHING
    RETURNING member_id
), people AS (
    SELECT member_id FROM ended UNION SELECT member_id FROM started
)
UPDATE members AS m SET version = version + 1 FROM people WHERE m.org_id = :org_id AND m.id = people.member_id
""")


class Departure(NamedTuple):
    """A person, and the places that a move takes them out of: ids of units, and an empty text for the org itself."""

    member_id: UUID
    places: Sequence[str]


async def list_departures(db: Readable, org_id: UUID, body: MoveCreate) -> list[Departure]:
    """Return each person whom the move would take from somewhere, with the places that they would leave."""
    return await fetch_rows(db, _PREVIEW, Departure, await _get_origin(db, org_id, body))


class _PreviewedMember(NamedTuple):
    """A person with the places before the move, and those that the move ends; None is the org itself."""

    id: UUID
    name: str
    before: Sequence[UUID | None]
    leaves: Sequence[UUID | None]


async def preview_move(db: Readable, org_id: UUID, body: MoveCreate) -> MovePreviewOut:
    """Return what the move would change now. Raises UnknownUnit."""
    await _require_units(db, org_id, body)
    origin = await _get_origin(db, org_id, body)
    people = await fetch_rows(db, _PREVIEW, Departure, origin)
    shown = await fetch_rows(db, _PREVIEW_PEOPLE, _PreviewedMember, origin | {"most": _MOST_PREVIEWED})
    return MovePreviewOut(
        people=len(people),
        groups=_group_departures(people),
        members=[
            PreviewedMemberOut(
                id=member.id,
                name=member.name,
                before_unit_ids=list(member.before),
                after_unit_ids=[
                    *(place for place in member.before if place not in member.leaves),
                    *([body.to_unit_id] if body.to_unit_id not in member.before else []),
                ],
            )
            for member in shown
        ],
    )


async def move_people(db: AsyncConnection, scope: OrgScope, body: MoveCreate) -> tuple[MoveOut, list[Departure]]:
    """Move people of a unit to another unit or to the org itself. Return what has moved, and who left which places.

    With `units_below` people also leave the units under it. Their memberships elsewhere do not change. Locks the org
    for edit and the members. Raises UnknownUnit.
    """
    await lock_orgs_for_edit(db, scope)
    await _require_units(db, scope.org_id, body)
    origin = await _get_origin(db, scope.org_id, body)
    await db.execute(_LOCK_PEOPLE, origin)
    now = (await db.execute(select(func.clock_timestamp()))).scalar_one()
    with on_constraint(("unit_memberships_unit_fkey", UnknownUnit)):
        moved = await fetch_rows(db, _MOVE, Departure, origin | {"now": now})
    to = str(body.to_unit_id) if body.to_unit_id else None
    if body.member_ids is not None:
        for person in moved:
            await record(
                db,
                scope.actor,
                "member.moved",
                org_id=scope.org_id,
                subject=("member", person.member_id),
                before={"unit_ids": [place or None for place in person.places]},
                after={"unit_ids": [to]},
            )
    elif moved:
        after = {"to_unit_id": to, "people": len(moved)}
        subject = ("unit", body.from_unit_id)
        await record(db, scope.actor, "unit.people_moved", org_id=scope.org_id, subject=subject, after=after)
    groups = _group_departures(moved)
    return MoveOut(people=len(moved), moved_at=now if moved else None, groups=groups), moved


async def undo_move(db: AsyncConnection, scope: OrgScope, body: MoveUndo) -> int:
    """Return people of a move of the last day to the places that they left. Return their number.

    A person who has left the target since then is not moved, and a removed unit is left out. Locks the org for edit
    and the members.
    """
    await lock_orgs_for_edit(db, scope)
    now = (await db.execute(select(func.clock_timestamp()))).scalar_one()
    if not body.is_recent(now):
        return 0
    moved = {
        "org_id": scope.org_id,
        "to_id": body.to_unit_id,
        "at_org": body.to_unit_id is None,
        "moved_at": body.moved_at,
        "chosen": body.member_ids is not None,
        "members": body.member_ids or [],
    }
    await db.execute(_LOCK_MOVED, moved)
    undone = (await db.execute(_UNDO, moved | {"now": now})).rowcount
    if undone:
        before = {"to_unit_id": str(body.to_unit_id) if body.to_unit_id else None, "people": undone}
        subject = ("unit", body.to_unit_id)
        await record(db, scope.actor, "unit.move_undone", org_id=scope.org_id, subject=subject, before=before)
    return undone


async def _require_units(db: Readable, org_id: UUID, body: MoveCreate) -> None:
    wanted = {unit for unit in (body.from_unit_id, body.to_unit_id) if unit is not None}
    live = select(func.count()).where(Unit.org_id == org_id, Unit.id.in_(wanted), Unit.removed_at.is_(None))
    if (await db.execute(live)).scalar_one() != len(wanted):
        raise UnknownUnit


def _group_departures(people: Sequence[Departure]) -> list[MoveGroupOut]:
    """Group people who leave the same places, the largest group first."""
    groups = Counter(tuple(sorted(person.places)) for person in people).most_common(_MOST_GROUPS)
    return [
        MoveGroupOut(from_unit_ids=[UUID(place) if place else None for place in places], people=count)
        for places, count in groups
    ]


async def _get_origin(db: Readable, org_id: UUID, body: MoveCreate) -> dict[str, Any]:
    """Return the parameters that say whom a move takes from where."""
    units: set[UUID] = set()
    if body.from_unit_id is not None:
        units = {body.from_unit_id}
        if body.units_below:
            subtree = tree.build_unit_subtree(org_id, body.from_unit_id)
            units |= set((await db.scalars(select(subtree.c.id))).all())
    return {
        "org_id": org_id,
        "to_id": body.to_unit_id,
        "units": list(units),
        "everywhere": body.from_unit_id is None and body.units_below,
        "at_org": body.from_unit_id is None,
        "chosen": body.member_ids is not None,
        "members": body.member_ids or [],
    }
