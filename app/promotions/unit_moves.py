"""Move a unit's people and its sub-units into a new org.

The moved rows have the same ids in the new org. A member's phone stays valid, because it is encrypted with the member's
id and not with the org's id. No row of the past changes: the old unit memberships and activations end at one instant,
and the new ones begin at the same instant.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, TextClause, Uuid, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from app.audit_log.entries import Actor
from app.blind_index.keys import lock_index_key
from app.core.cipher import Cipher
from app.hierarchy import tree
from app.members.encryption import decrypt_phone
from app.members.superseded_requests import supersede_requests_of_removed
from app.schema.orgs import Unit


@dataclass(frozen=True, slots=True)
class MovedUnits:
    """The result of a move: the ids of the unit and its sub-units, and the number of people."""

    unit_ids: Sequence[UUID]
    people: int


_TYPES: dict[str, TypeEngine[Any]] = {
    "org_id": Uuid(),
    "new_id": Uuid(),
    "unit_id": Uuid(),
    "units": ARRAY(Uuid),
    "people": ARRAY(Uuid),
    "last4s": ARRAY(BYTEA),
    "now": DateTime(timezone=True),
}


def _build_statement(statement: str) -> TextClause:
    clause = text(statement)
    return clause.bindparams(*(bindparam(name, type_=_TYPES[name]) for name in clause.compile().params))


# The sub-units of the promoted unit, in their order. Its direct sub-units come directly under the new org.
_UNITS = _build_statement("""
INSERT INTO units (org_id, id, parent_id, name, kind, last_day, end_reported_at, position)
SELECT :new_id, id, nullif(parent_id, :unit_id), name, kind, last_day, end_reported_at, position FROM units
WHERE org_id = :org_id AND id = ANY (:units) AND id <> :unit_id
ORDER BY position
""")
# Every operation locks members by id before it changes their unit memberships.
_LOCK_MEMBERS = _build_statement("""
SELECT id, phone_cipher FROM members WHERE org_id = :org_id AND id IN (
    SELECT member_id FROM unit_memberships WHERE org_id = :org_id AND unit_id = ANY (:units) AND until IS NULL
) ORDER BY id FOR UPDATE
""")
_MEMBERS = _build_statement("""
INSERT INTO members (org_id, id, user_id, name, pinyin, initials, phone_cipher, phone_index, phone_last4_index, party,
    probationary, post)
SELECT :new_id, m.id, m.user_id, m.name, m.pinyin, m.initials, m.phone_cipher, m.phone_index, given.last4, m.party,
    m.probationary, m.post
FROM unnest(:people, :last4s) AS given (id, last4) JOIN members AS m ON m.org_id = :org_id AND m.id = given.id
""")
_ACTIVATIONS = _build_statement("""
INSERT INTO activations (org_id, member_id, user_id, consented_by, since)
SELECT :new_id, member_id, user_id, consented_by, :now FROM activations
WHERE org_id = :org_id AND member_id = ANY (:people) AND until IS NULL
""")
# These rows prevent that the new org links an account to a member again after an admin has undone that link,
# or after the account has lost the phone.
_UNDONE_ACTIVATIONS = _build_statement("""
INSERT INTO activations (org_id, member_id, user_id, undone_by, phone_lost, since, until)
SELECT DISTINCT ON (member_id, user_id) :new_id, member_id, user_id, undone_by, phone_lost, :now, :now FROM activations
WHERE org_id = :org_id AND member_id = ANY (:people) AND (undone_by IS NOT NULL OR phone_lost)
ORDER BY member_id, user_id, until DESC
""")
_UNIT_MEMBERSHIPS = _build_statement("""
WITH ended AS (
    UPDATE unit_memberships SET until = :now WHERE org_id = :org_id AND unit_id = ANY (:units) AND until IS NULL
    RETURNING member_id, unit_id, position
)
INSERT INTO unit_memberships (org_id, member_id, unit_id, position, since)
SELECT DISTINCT :new_id, member_id, nullif(unit_id, :unit_id), position, :now FROM ended
""")
# A member without another unit membership in the old org is removed from the old org.
_REMOVE_MEMBERS = _build_statement("""
WITH leaving AS (
    UPDATE members AS m SET removed_at = :now, user_id = NULL, version = version + 1
    WHERE m.org_id = :org_id AND m.id = ANY (:people) AND NOT EXISTS (
        SELECT FROM unit_memberships AS p WHERE p.org_id = :org_id AND p.member_id = m.id AND p.until IS NULL
    ) RETURNING m.id
), staying AS (
    UPDATE members SET version = version + 1
    WHERE org_id = :org_id AND id = ANY (:people) AND EXISTS (
        SELECT FROM unit_memberships AS p WHERE p.org_id = :org_id AND p.member_id = members.id AND p.until IS NULL
    )
)
UPDATE activations AS a SET until = :now FROM leaving
WHERE a.org_id = :org_id AND a.member_id = leaving.id AND a.until IS NULL
""")
_REMOVE_UNITS = _build_statement("""
UPDATE units SET removed_at = :now, version = version + 1 WHERE org_id = :org_id AND id = ANY (:units)
""")


async def move_unit_into_org(
    db: AsyncConnection, cipher: Cipher, actor: Actor, org_id: UUID, unit_id: UUID, new_id: UUID
) -> MovedUnits:
    """Move the unit's people to the new org itself, and the people of its sub-units with these sub-units. Then remove
    the unit and its sub-units from the old org.

    The caller has locked the old org. This function locks the index key, then the units FOR UPDATE by id, then the
    members by id. The lock of a unit waits for concurrent transactions that add members to it, so that these members
    move too.
    """
    indexer = await lock_index_key(db, cipher)
    subtree = tree.build_unit_subtree(org_id, unit_id)
    units = select(Unit.id).where(Unit.org_id == org_id, Unit.id.in_(select(subtree.c.id))).order_by(Unit.id)
    unit_ids: list[UUID] = list((await db.scalars(units.with_for_update())).all())
    parameters: dict[str, Any] = {"org_id": org_id, "new_id": new_id, "unit_id": unit_id, "units": unit_ids}
    members = (await db.execute(_LOCK_MEMBERS, parameters)).all()
    parameters["people"] = [row.id for row in members]
    parameters["last4s"] = [
        None if phone is None else indexer.index_last4(new_id, phone)
        for phone in (decrypt_phone(cipher, row.phone_cipher, row.id) for row in members)
    ]
    parameters["now"] = await db.scalar(select(func.clock_timestamp()))
    for statement in (
        _UNITS,
        _MEMBERS,
        _ACTIVATIONS,
        _UNDONE_ACTIVATIONS,
        _UNIT_MEMBERSHIPS,
        _REMOVE_MEMBERS,
        _REMOVE_UNITS,
    ):
        await db.execute(statement, parameters)
    await supersede_requests_of_removed(db, org_id, actor.get_actor_for_other_org())
    return MovedUnits(unit_ids, len(members))
