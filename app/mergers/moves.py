"""Move the people and units of an org into another org.

The rows in the receiving org are new ones with ids of their own, because an earlier promotion can have left rows with
the same ids there. No row of the past changes: the old unit memberships and activations end at one instant, and the new
ones begin at the same instant. A person who is in both orgs, by account or by phone, keeps the row in the receiving
org.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import DateTime, TextClause, Uuid, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from app.blind_index.keys import lock_index_key
from app.core.cipher import Cipher
from app.core.ids import make_id
from app.database.db import on_constraint
from app.database.rows import fetch_rows
from app.members.encryption import decrypt_phone, encrypt_phone_if_any
from app.mergers.errors import PhoneOfTwoAccounts
from app.messages.delivery import build_insert
from app.messages.kinds import MessageKind
from app.schema.orgs import Unit
from app.web.errors import Unavailable

_TYPES: dict[str, TypeEngine[Any]] = {
    **dict.fromkeys(("org_id", "to_id", "unit_id"), Uuid()),
    **dict.fromkeys(("people", "rows", "new_people", "new_rows", "units", "new_units"), ARRAY(Uuid)),
    **dict.fromkeys(("phones", "last4s"), ARRAY(BYTEA)),
    "now": DateTime(timezone=True),
}


def _sql(statement: str) -> TextClause:
    clause = text(statement)
    return clause.bindparams(*(bindparam(name, type_=_TYPES[name]) for name in clause.compile().params))


# The live rows of the org, and the rows of the same people in the receiving org: by org and id, as everywhere.
_LOCK_MEMBERS = _sql("""
SELECT FROM members WHERE removed_at IS NULL AND (org_id = :org_id OR org_id = :to_id AND id IN (
    SELECT r.id FROM members AS m JOIN members AS r ON r.org_id = :to_id AND r.removed_at IS NULL
        AND (r.user_id = m.user_id OR r.phone_index = m.phone_index)
    WHERE m.org_id = :org_id AND m.removed_at IS NULL
)) ORDER BY org_id, id FOR UPDATE
""")
_PEOPLE = _sql("""
SELECT m.id, m.phone_cipher, m.user_id, linked.id AS row_of_user, called.id AS row_of_phone,
    called.user_id AS other_user
FROM members AS m
LEFT JOIN members AS linked ON linked.org_id = :to_id AND linked.user_id = m.user_id
LEFT JOIN members AS called ON called.org_id = :to_id AND called.removed_at IS NULL
    AND called.phone_index = m.phone_index
WHERE m.org_id = :org_id AND m.removed_at IS NULL ORDER BY m.id
""")


class _Person(NamedTuple):
    id: UUID
    phone_cipher: bytes | None
    user_id: UUID | None
    row_of_user: UUID | None
    row_of_phone: UUID | None
    other_user: UUID | None


# Insert the units with their order and nesting. Units directly under the old org are placed under `unit_id` (NULL:
# under the receiving org itself), after the units that exist there: the database sets their position.
_UNITS = _sql("""
INSERT INTO units (org_id, id, parent_id, name, name_number, kind, last_day, end_reported_at, position)
SELECT :to_id, given.new_id, coalesce(parent.new_id, :unit_id), u.name, u.name_number, u.kind, u.last_day,
    u.end_reported_at, CASE WHEN u.parent_id IS NOT NULL THEN u.position END
FROM unnest(:units, :new_units) AS given (id, new_id) JOIN units AS u ON u.org_id = :org_id AND u.id = given.id
LEFT JOIN unnest(:units, :new_units) AS parent (id, new_id) ON parent.id = u.parent_id
ORDER BY u.parent_id NULLS FIRST, u.position
""")
_MEMBERS = _sql("""
INSERT INTO members (org_id, id, user_id, name, pinyin, initials, phone_cipher, phone_index, phone_last4_index, party,
    probationary, post)
SELECT :to_id, given.new_id, m.user_id, m.name, m.pinyin, m.initials, given.phone, m.phone_index, given.last4, m.party,
    m.probationary, m.post
FROM unnest(:new_people, :new_rows, :phones, :last4s) AS given (id, new_id, phone, last4)
JOIN members AS m ON m.org_id = :org_id AND m.id = given.id
""")
_ACTIVATIONS = _sql(f"""
WITH begun AS (
    INSERT INTO activations (org_id, member_id, user_id, consented_by, since)
    SELECT :to_id, given.new_id, a.user_id, a.consented_by, :now
    FROM unnest(:new_people, :new_rows) AS given (id, new_id)
    JOIN activations AS a ON a.org_id = :org_id AND a.member_id = given.id AND a.until IS NULL
    RETURNING org_id, user_id
)
{build_insert(MessageKind.ROW_LINKED, "FROM begun AS s")}
""")  # noqa: S608 — a constant
# A link that an admin undid remains undone in the receiving org, and so does that of a lost phone.
_UNDONE_ACTIVATIONS = _sql("""
INSERT INTO activations (org_id, member_id, user_id, undone_by, phone_lost, since, until)
SELECT DISTINCT ON (given.new_id, a.user_id) :to_id, given.new_id, a.user_id, a.undone_by, a.phone_lost, :now, :now
FROM unnest(:new_people, :new_rows) AS given (id, new_id)
JOIN activations AS a ON a.org_id = :org_id AND a.member_id = given.id
    AND (a.undone_by IS NOT NULL OR a.phone_lost)
ORDER BY given.new_id, a.user_id, a.until DESC
""")
# A person in both orgs who is linked in the old one alone: the link continues if the names agree and no admin has
# undone it.
_LINKS_IN_BOTH = _sql("""
WITH linked AS (
    UPDATE members AS r SET user_id = m.user_id
    FROM unnest(:people, :rows) AS given (id, row_id) JOIN members AS m ON m.org_id = :org_id AND m.id = given.id
    WHERE r.org_id = :to_id AND r.id = given.row_id AND r.user_id IS NULL AND r.phone_index = m.phone_index
        AND m.user_id IS NOT NULL AND name_key(r.name) = name_key(m.name)
        AND NOT EXISTS (SELECT FROM activations AS a WHERE a.org_id = :to_id AND a.member_id = r.id
            AND a.user_id = m.user_id AND a.undone_by IS NOT NULL)
    RETURNING r.id, r.user_id, m.id AS person
)
INSERT INTO activations (org_id, member_id, user_id, consented_by, since)
SELECT :to_id, linked.id, linked.user_id, a.consented_by, :now
FROM linked JOIN activations AS a ON a.org_id = :org_id AND a.member_id = linked.person AND a.until IS NULL
""")
_UNIT_MEMBERSHIPS = _sql("""
WITH ended AS (
    UPDATE unit_memberships SET until = :now WHERE org_id = :org_id AND until IS NULL
    RETURNING member_id, unit_id, position
)
INSERT INTO unit_memberships (org_id, member_id, unit_id, position, since)
SELECT :to_id, person.row_id, coalesce(unit.new_id, :unit_id),
    min(CASE WHEN unit.new_id IS NOT NULL THEN ended.position END), :now
FROM ended JOIN unnest(:people, :rows) AS person (id, row_id) ON person.id = ended.member_id
LEFT JOIN unnest(:units, :new_units) AS unit (id, new_id) ON unit.id = ended.unit_id
GROUP BY person.row_id, coalesce(unit.new_id, :unit_id)
ON CONFLICT DO NOTHING
""")
_EDITED_ROWS = _sql("""
UPDATE members SET version = version + 1
WHERE org_id = :to_id AND id = ANY (:rows) AND id <> ALL (:new_rows)
""")
_REMOVE_MEMBERS = _sql(f"""
WITH ended AS (
    UPDATE activations SET until = :now WHERE org_id = :org_id AND until IS NULL RETURNING org_id, user_id
), messages AS (
    {build_insert(MessageKind.ROW_REMOVED, "FROM ended AS s")}
)
UPDATE members SET removed_at = :now, user_id = NULL, version = version + 1
WHERE org_id = :org_id AND removed_at IS NULL
""")  # noqa: S608 — a constant
_REMOVE_UNITS = _sql("""
UPDATE units SET removed_at = :now, version = version + 1 WHERE org_id = :org_id AND removed_at IS NULL
""")


@dataclass(frozen=True, slots=True)
class Moved:
    """The numbers of people and units that moved, and how many of the people were in both orgs before."""

    people: int
    in_both: int
    units: int


async def move_org_into(db: AsyncConnection, cipher: Cipher, org_id: UUID, to_id: UUID, unit_id: UUID | None) -> Moved:
    """Move all people and units of an org to another org, under this unit of it (None: the org itself).

    The caller has locked both orgs. This function locks the index key, then the units FOR UPDATE by id, then the
    members by org and id. Raises PhoneOfTwoAccounts, and Unavailable if a concurrent transaction adds one of these
    people to the receiving org.
    """
    indexer = await lock_index_key(db, cipher)
    units = select(Unit.id).where(Unit.org_id == org_id, Unit.removed_at.is_(None)).order_by(Unit.id)
    unit_ids = list((await db.scalars(units.with_for_update())).all())
    parameters: dict[str, Any] = {"org_id": org_id, "to_id": to_id, "unit_id": unit_id}
    await db.execute(_LOCK_MEMBERS, parameters)
    people = await fetch_rows(db, _PEOPLE, _Person, parameters)
    rows: list[UUID] = []
    new: list[tuple[UUID, UUID, bytes | None, bytes | None]] = []
    for person in people:
        row = person.row_of_user
        if row is None and person.row_of_phone is not None:
            if person.user_id is not None and person.other_user is not None:
                raise PhoneOfTwoAccounts
            row = person.row_of_phone
        if row is None:
            row = make_id()
            phone = decrypt_phone(cipher, person.phone_cipher, person.id)
            encrypted = encrypt_phone_if_any(indexer, to_id, row, phone)
            new.append((person.id, row, encrypted["phone_cipher"], encrypted["phone_last4_index"]))
        rows.append(row)
    parameters |= {
        "people": [person.id for person in people],
        "rows": rows,
        "new_people": [person_id for person_id, _, _, _ in new],
        "new_rows": [row for _, row, _, _ in new],
        "phones": [phone for _, _, phone, _ in new],
        "last4s": [last4 for _, _, _, last4 in new],
        "units": unit_ids,
        "new_units": [make_id() for _ in unit_ids],
        "now": await db.scalar(select(func.clock_timestamp())),
    }
    await db.execute(_UNITS, parameters)
    with on_constraint(
        ("members_org_id_phone_index_key", Unavailable),
        ("members_org_id_user_id_key", Unavailable),
    ):
        await db.execute(_MEMBERS, parameters)
        await db.execute(_LINKS_IN_BOTH, parameters)
    for statement in (
        _ACTIVATIONS,
        _UNDONE_ACTIVATIONS,
        _UNIT_MEMBERSHIPS,
        _EDITED_ROWS,
        _REMOVE_MEMBERS,
        _REMOVE_UNITS,
    ):
        await db.execute(statement, parameters)
    return Moved(people=len(people), in_both=len(people) - len(new), units=len(unit_ids))
