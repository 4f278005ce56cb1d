# ruff: noqa: S608 — the SQL is built from constants only
"""The merge of an import: set-based statements that apply the outcomes of the table `people`.

It runs in one transaction that locks the org's row, so that no other transaction edits the org's units and no other
merge of the org interleaves. A sheet names units only. Therefore a merge never ends a membership at the org itself
(the management group).
"""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor
from app.members.activation import NAMES_AGREE, NOT_BLOCKED, activate_rows, enqueue_user_activations
from app.members.imports.row_problems import MAX_UNIT_DEPTH
from app.members.imports.staging.outcomes import LEAVING
from app.members.imports.staging.units import MISSING_UNITS, resolve_units
from app.members.superseded_requests import supersede_requests_of_removed
from app.messages.delivery import build_insert
from app.messages.kinds import MessageKind
from app.queue.jobs import Busy

_LOCK_ORG = text("SELECT kind FROM orgs WHERE id = :org_id AND status = 'live' FOR NO KEY UPDATE")

# The missing units of one depth. Their parents exist already.
_CREATE_UNITS = text(f"""
INSERT INTO units (org_id, parent_id, name, kind)
SELECT :org_id, (SELECT unit_id FROM paths WHERE paths.key = m.parent_key ORDER BY unit_id LIMIT 1), m.name,
       CASE WHEN m.name LIKE '%党小组%' THEN 'party-group' WHEN m.name LIKE '%总支%' THEN 'general-branch'
            WHEN m.name LIKE '%支部%' THEN 'branch' ELSE 'department' END
FROM ({MISSING_UNITS}) AS m
WHERE m.depth = CAST(:depth AS int)
ORDER BY m.row_no
ON CONFLICT DO NOTHING
RETURNING id
""")

_ADD = text(f"""
INSERT INTO members (org_id, id, user_id, name, pinyin, initials, phone_cipher, phone_index, phone_last4_index, party,
    probationary, post)
SELECT :org_id, m.new_member_id, u.id, m.name, m.pinyin, m.initials, m.phone_cipher, m.phone_index,
       m.phone_last4_index, coalesce(p.party, :party_org),
       coalesce(p.probationary, false), p.post
FROM people AS p
JOIN staged AS m ON m.row_no = p.first_row
LEFT JOIN users AS u ON u.phone_index = m.phone_index AND u.status = 'active' AND {NAMES_AGREE}
    AND NOT EXISTS (SELECT FROM members AS o WHERE o.org_id = :org_id AND o.user_id = u.id)
    AND {NOT_BLOCKED.format(org=":org_id")}
WHERE p.outcome = 'added'
ORDER BY p.first_row
""")

_ACTIVATE_ADDED = text(f"""
WITH linked AS (
    INSERT INTO activations (org_id, member_id, user_id)
    SELECT m.org_id, m.id, m.user_id FROM people AS p JOIN members AS m ON m.org_id = :org_id AND m.id = p.member_id
    WHERE p.outcome = 'added' AND m.user_id IS NOT NULL
    RETURNING org_id, user_id
)
{build_insert(MessageKind.ROW_LINKED, "FROM linked AS s")}
""")

_CHANGE = text("""
UPDATE members AS m
SET name = s.name, pinyin = s.pinyin, initials = s.initials, party = coalesce(p.party, m.party),
    probationary = coalesce(p.probationary AND coalesce(p.party, m.party), m.probationary AND coalesce(p.party, true)),
    post = coalesce(p.post, m.post), version = m.version + 1
FROM people AS p JOIN staged AS s ON s.row_no = p.first_row
WHERE p.outcome = 'changed' AND m.org_id = :org_id AND m.id = p.member_id
""")

_END_MEMBERSHIPS = text("""
UPDATE unit_memberships AS old SET until = greatest(now(), old.since)
FROM people AS p
WHERE p.outcome IN ('changed', 'moved') AND old.org_id = :org_id AND old.member_id = p.member_id
  AND old.until IS NULL AND old.unit_id IS NOT NULL AND old.unit_id <> ALL (p.unit_ids)
""")

_START_MEMBERSHIPS = text("""
INSERT INTO unit_memberships (org_id, member_id, unit_id)
SELECT :org_id, p.member_id, unit_id FROM people AS p, unnest(p.unit_ids) AS unit_id
WHERE p.outcome IN ('added', 'changed', 'moved')
ON CONFLICT DO NOTHING
""")

# A person who only moves gets a new version too, so that a client with an older version cannot overwrite the row.
_INCREMENT_VERSIONS_OF_MOVED = text("""
UPDATE members AS m SET version = m.version + 1 FROM people AS p
WHERE p.outcome = 'moved' AND m.org_id = :org_id AND m.id = p.member_id
""")

# The rows that the merge changes, moves or removes are locked first. Concurrent edits, removals and registrations of
# these people commit before or wait. The merge removes only locked rows, and keeps those that have become members of
# the org itself meanwhile.
_LOCK_KNOWN = text("""
SELECT count(*) FROM (
    SELECT m.id FROM members AS m
    JOIN people AS p ON p.member_id = m.id AND p.person_key = coalesce(m.phone_index, uuid_send(m.id))
    WHERE m.org_id = :org_id AND m.removed_at IS NULL AND p.outcome IN ('changed', 'moved')
    ORDER BY m.id FOR UPDATE OF m
) AS locked
""")
_COUNT_KNOWN = text("SELECT count(*) FROM people WHERE outcome IN ('changed', 'moved')")
_LOCK_LEAVING = text(
    f"CREATE TEMPORARY TABLE leaving_locked ON COMMIT DROP AS SELECT m.id {LEAVING} ORDER BY m.id FOR UPDATE OF m"
)
_REMOVE = text(f"""
WITH leaving AS (SELECT m.id {LEAVING} AND m.id IN (SELECT id FROM leaving_locked)),
ended AS (
    UPDATE activations AS a SET until = greatest(now(), a.since) FROM leaving AS l
    WHERE a.org_id = :org_id AND a.member_id = l.id AND a.until IS NULL
    RETURNING a.org_id, a.user_id, a.consented_by
),
messages AS (
    {build_insert(MessageKind.ROW_REMOVED, "FROM ended AS s")}
),
ended_memberships AS (
    UPDATE unit_memberships AS p SET until = greatest(now(), p.since) FROM leaving AS l
    WHERE p.org_id = :org_id AND p.member_id = l.id AND p.until IS NULL
), removed AS (
    UPDATE members AS m SET removed_at = now(), user_id = NULL, version = m.version + 1
    FROM leaving AS l WHERE m.org_id = :org_id AND m.id = l.id
)
SELECT user_id FROM ended WHERE consented_by IS NOT NULL
""")


async def lock_org(db: AsyncConnection, org_id: UUID) -> str | None:
    """Lock the org FOR NO KEY UPDATE against edits of its units and other merges.

    Return the org's kind, or None if the org is closed.
    """
    kind: str | None = await db.scalar(_LOCK_ORG, {"org_id": org_id})
    return kind


async def create_units(db: AsyncConnection, org_id: UUID) -> int:
    """Create the units that are missing in `resolved`, from the top down. Return the number of new units.

    Afterwards `resolved` contains them, but `people` does not yet: call `decide_outcomes` again.
    """
    created = 0
    for depth in range(1, MAX_UNIT_DEPTH + 1):
        found = (await db.execute(_CREATE_UNITS, {"org_id": org_id, "depth": depth})).all()
        created += len(found)
        if found:
            await resolve_units(db, org_id, create_units=True)
    return created


async def merge_people(db: AsyncConnection, actor: Actor, org_id: UUID, *, party_org: bool, replace_all: bool) -> None:
    """Apply the outcomes of `people`: new and changed rows, unit memberships and activations.

    `replace_all` also removes the people who are not in the sheet. Locks the rows. Raises Busy if a person was removed
    or got another phone after the outcomes were decided.
    """
    known = await db.scalar(_COUNT_KNOWN)
    if known and await db.scalar(_LOCK_KNOWN, {"org_id": org_id}) != known:
        raise Busy
    if replace_all:
        await db.execute(_LOCK_LEAVING, {"org_id": org_id})
        await enqueue_user_activations(db, (await db.scalars(_REMOVE, {"org_id": org_id})).all())
        await supersede_requests_of_removed(db, org_id, actor)
    await db.execute(_ADD, {"org_id": org_id, "party_org": party_org})
    await db.execute(_ACTIVATE_ADDED, {"org_id": org_id})
    for statement in (_CHANGE, _INCREMENT_VERSIONS_OF_MOVED, _END_MEMBERSHIPS, _START_MEMBERSHIPS):
        await db.execute(statement, {"org_id": org_id})
    changed = "m.org_id = :org_id AND m.id IN (SELECT member_id FROM people WHERE outcome = 'changed')"
    await activate_rows(db, changed, {"org_id": org_id})
