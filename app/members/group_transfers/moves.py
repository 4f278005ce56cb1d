"""Move the people of a group transfer into the receiving org, with a number of statements that does not depend on the
number of people.

No row of the past changes: the old unit memberships and activations end at one instant, and the new ones begin at it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import DateTime, Text, TextClause, Uuid, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from app.blind_index.keys import lock_index_key
from app.core.cipher import Cipher
from app.core.ids import make_id
from app.database.db import on_constraint
from app.database.rows import fetch_rows
from app.members.activation import activate_rows, enqueue_row_activations, enqueue_user_activations
from app.members.encryption import decrypt_phone, encrypt_phone_if_any
from app.members.group_transfers.queries import build_obstacle
from app.messages.delivery import build_insert
from app.messages.kinds import MessageKind
from app.orgs.errors import UnknownUnit
from app.schema.members import Member
from app.schema.own_rows import OrgBlock
from app.schema.person_transfers import GroupTransferPerson
from app.web.errors import Unavailable

_TYPES: dict[str, TypeEngine[Any]] = {
    **dict.fromkeys(("transfer_id", "org_id", "to_id"), Uuid()),
    **dict.fromkeys(("people", "rows", "units"), ARRAY(Uuid)),
    **dict.fromkeys(("phones", "last4s"), ARRAY(BYTEA)),
    "obstacles": ARRAY(Text),
    "now": DateTime(timezone=True),
}


def _sql(statement: str) -> TextClause:
    clause = text(statement)
    return clause.bindparams(*(bindparam(name, type_=_TYPES[name]) for name in clause.compile().params))


# The accounts before the rows, as everywhere. A user who blocks the receiving org locks the account too.
_LOCK_ACCOUNTS = _sql("""
SELECT id FROM users WHERE id IN (
    SELECT m.user_id FROM group_transfer_people AS p JOIN members AS m ON m.org_id = p.org_id AND m.id = p.member_id
    WHERE p.transfer_id = :transfer_id
) ORDER BY id FOR SHARE
""")
# The rows of these people in both orgs, by org and id, as everywhere.
_LOCK_MEMBERS = _sql("""
SELECT FROM members WHERE removed_at IS NULL AND (
    org_id = :org_id AND id IN (SELECT member_id FROM group_transfer_people WHERE transfer_id = :transfer_id)
    OR org_id = :to_id AND id IN (
        SELECT r.id FROM group_transfer_people AS p JOIN members AS m ON m.org_id = p.org_id AND m.id = p.member_id
        JOIN members AS r ON r.org_id = :to_id AND r.removed_at IS NULL
            AND (r.user_id = m.user_id OR r.phone_index = m.phone_index)
        WHERE p.transfer_id = :transfer_id
    )
) ORDER BY org_id, id FOR UPDATE
""")
_IS_BLOCKED = (
    select(OrgBlock.org_id)
    .where(OrgBlock.user_id == Member.user_id, OrgBlock.org_id == bindparam("to_id", type_=Uuid()))
    .exists()
)
_PEOPLE = (
    select(
        Member.id,
        Member.name,
        Member.party,
        Member.user_id,
        Member.phone_cipher,
        build_obstacle(bindparam("to_id", type_=Uuid()), bindparam("to_kind")).label("obstacle"),
        _IS_BLOCKED.label("is_blocked"),
    )
    .join(
        GroupTransferPerson,
        (Member.org_id == GroupTransferPerson.org_id) & (Member.id == GroupTransferPerson.member_id),
    )
    .where(GroupTransferPerson.transfer_id == bindparam("transfer_id"))
    .order_by(GroupTransferPerson.place)
)


class _Person(NamedTuple):
    id: UUID
    name: str
    party: bool
    user_id: UUID | None
    phone_cipher: bytes | None
    obstacle: str | None
    is_blocked: bool


# A link that the user has blocked is not continued.
_MEMBERS = _sql("""
INSERT INTO members (org_id, id, user_id, name, pinyin, initials, phone_cipher, phone_index, phone_last4_index, party,
    probationary)
SELECT :to_id, given.row_id,
    CASE WHEN NOT EXISTS (SELECT FROM org_blocks AS b WHERE b.user_id = m.user_id AND b.org_id = :to_id)
        THEN m.user_id END,
    m.name, m.pinyin, m.initials, given.phone, m.phone_index, given.last4, m.party, m.probationary
FROM unnest(:people, :rows, :phones, :last4s) AS given (id, row_id, phone, last4)
JOIN members AS m ON m.org_id = :org_id AND m.id = given.id
""")
# The consent to a link remains valid, because the account and the person are the same.
_ACTIVATIONS = _sql(f"""
WITH begun AS (
    INSERT INTO activations (org_id, member_id, user_id, consented_by, since)
    SELECT :to_id, r.id, a.user_id, a.consented_by, :now
    FROM unnest(:people, :rows) AS given (id, row_id)
    JOIN members AS r ON r.org_id = :to_id AND r.id = given.row_id
    JOIN activations AS a ON a.org_id = :org_id AND a.member_id = given.id AND a.until IS NULL
        AND a.user_id = r.user_id
    RETURNING org_id, user_id
)
{build_insert(MessageKind.ROW_LINKED, "FROM begun AS s")}
""")  # noqa: S608 — a constant
# A link that an admin undid remains undone in the receiving org.
_UNDONE_ACTIVATIONS = _sql("""
INSERT INTO activations (org_id, member_id, user_id, undone_by, since, until)
SELECT DISTINCT ON (given.row_id, a.user_id) :to_id, given.row_id, a.user_id, a.undone_by, :now, :now
FROM unnest(:people, :rows) AS given (id, row_id)
JOIN activations AS a ON a.org_id = :org_id AND a.member_id = given.id AND a.undone_by IS NOT NULL
""")
_UNIT_MEMBERSHIPS = _sql("""
INSERT INTO unit_memberships (org_id, member_id, unit_id, since)
SELECT :to_id, row_id, unit_id, :now FROM unnest(:rows) AS given (row_id) CROSS JOIN unnest(:units) AS units (unit_id)
""")
_REMOVE_MEMBERS = _sql(f"""
WITH ended AS (
    UPDATE activations SET until = :now WHERE org_id = :org_id AND member_id = ANY (:people) AND until IS NULL
    RETURNING org_id, user_id, consented_by
), messages AS (
    {build_insert(MessageKind.ROW_REMOVED, "FROM ended AS s")}
), ended_memberships AS (
    UPDATE unit_memberships SET until = :now WHERE org_id = :org_id AND member_id = ANY (:people) AND until IS NULL
), removed AS (
    UPDATE members SET removed_at = :now, user_id = NULL, version = version + 1
    WHERE org_id = :org_id AND id = ANY (:people)
)
SELECT user_id FROM ended WHERE consented_by IS NOT NULL
""")  # noqa: S608 — a constant
_OUTCOMES = _sql("""
UPDATE group_transfer_people AS p SET new_member_id = given.row_id, obstacle = given.obstacle
FROM unnest(:people, :rows, :obstacles) AS given (id, row_id, obstacle)
WHERE p.transfer_id = :transfer_id AND p.member_id = given.id
""")


@dataclass(frozen=True, slots=True)
class MovedPerson:
    """A person who has moved: the old row, and the new one."""

    member_id: UUID
    new_member_id: UUID
    name: str
    party: bool


async def move_people_into(
    db: AsyncConnection,
    cipher: Cipher,
    transfer_id: UUID,
    org_id: UUID,
    to_id: UUID,
    to_kind: str,
    units: Sequence[UUID | None],
) -> list[MovedPerson]:
    """Move those people of a group transfer who have no obstacle, and store the outcome of each. Return the moved ones
    in the order of the request.

    The caller has locked both orgs for edit. Locks the index key, the accounts, then the rows. Raises UnknownUnit, and
    Unavailable if a concurrent transaction adds one of these people to the receiving org, or links one meanwhile.
    """
    indexer = await lock_index_key(db, cipher)
    parameters: dict[str, Any] = {"transfer_id": transfer_id, "org_id": org_id, "to_id": to_id}
    accounts = set((await db.scalars(_LOCK_ACCOUNTS, parameters)).all())
    await db.execute(_LOCK_MEMBERS, parameters)
    people = await fetch_rows(db, _PEOPLE, _Person, {"transfer_id": transfer_id, "to_id": to_id, "to_kind": to_kind})
    if not {person.user_id for person in people} - {None} <= accounts:
        raise Unavailable  # linked between the two locks
    rows = {person.id: make_id() for person in people if person.obstacle is None}
    moving = [person for person in people if person.id in rows]
    encrypted = [
        encrypt_phone_if_any(indexer, to_id, rows[each.id], decrypt_phone(cipher, each.phone_cipher, each.id))
        for each in moving
    ]
    moved = parameters | {
        "people": [each.id for each in moving],
        "rows": [rows[each.id] for each in moving],
        "phones": [each["phone_cipher"] for each in encrypted],
        "last4s": [each["phone_last4_index"] for each in encrypted],
        "units": list(units),
        "now": await db.scalar(select(func.clock_timestamp())),
    }
    with on_constraint(
        ("members_org_id_phone_index_key", Unavailable),
        ("members_org_id_user_id_key", Unavailable),
        ("unit_memberships_unit_fkey", UnknownUnit),
    ):
        await db.execute(_MEMBERS, moved)
        for statement in (_ACTIVATIONS, _UNDONE_ACTIVATIONS, _UNIT_MEMBERSHIPS):
            await db.execute(statement, moved)
    consented = (await db.scalars(_REMOVE_MEMBERS, moved)).all()
    outcomes = {
        "people": [each.id for each in people],
        "rows": [rows.get(each.id) for each in people],
        "obstacles": [each.obstacle for each in people],
    }
    await db.execute(_OUTCOMES, parameters | outcomes)
    # In the old org the account with a phone may be linked to another row, but in the new org to this one.
    of_group = "SELECT p.new_member_id FROM group_transfer_people AS p WHERE p.transfer_id = :transfer_id"
    await activate_rows(db, f"m.org_id = :to_id AND m.id IN ({of_group})", parameters)
    await enqueue_user_activations(db, consented)
    # A user who registers during this transaction can see neither the old rows nor the new rows.
    await enqueue_row_activations(db, to_id)
    return [MovedPerson(each.id, rows[each.id], each.name, each.party) for each in moving]
