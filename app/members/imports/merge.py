# ruff: noqa: S608 — the SQL is built from constants only
"""The merge of an import: set-based statements that apply the outcomes of the tables `people` and `changes`.

It runs in one transaction that locks the org's row, so that no other transaction edits the org's units and no other
merge of the org interleaves. A sheet names units only. Therefore a merge never ends a membership at the org itself
(the management group).
"""

from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor
from app.core.cipher import Cipher
from app.members.activation import NAMES_AGREE, NOT_BLOCKED, activate_rows, enqueue_user_activations
from app.members.imports.new_phones import change_phones
from app.members.imports.row_problems import MAX_UNIT_DEPTH
from app.members.imports.staging.changes import LEAVING, NEW_PARTY, NEW_POST, NEW_PROBATIONARY
from app.members.imports.staging.plan import ImportPlan
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
SELECT :org_id, m.new_member_id, u.id, m.name, m.pinyin, i.initials, i.phone_cipher, m.phone_index,
       m.phone_last4_index, coalesce(p.party, :party_org),
       coalesce(p.probationary, false), p.post
FROM people AS p
JOIN staged AS m ON m.row_no = p.first_row
JOIN import_rows AS i ON i.org_id = :org_id AND i.import_id = :import_id AND i.row_no = p.first_row
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

_CHANGE = text(f"""
UPDATE members AS m
SET name = i.name, pinyin = i.pinyin, initials = i.initials, party = {NEW_PARTY}, probationary = {NEW_PROBATIONARY},
    post = {NEW_POST}, version = m.version + 1
FROM people AS p
JOIN import_rows AS i ON i.org_id = :org_id AND i.import_id = :import_id AND i.row_no = p.first_row
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
SELECT CAST(:org_id AS uuid), p.member_id, unit_id FROM people AS p, unnest(p.unit_ids) AS unit_id
WHERE p.outcome IN ('added', 'changed', 'moved')
UNION ALL
SELECT CAST(:org_id AS uuid), p.member_id, CAST(NULL AS uuid) FROM people AS p
WHERE p.outcome IN ('added', 'changed', 'moved') AND p.at_org
ON CONFLICT DO NOTHING
""")

# A person who only moves gets a new version too, so that a client with an older version cannot overwrite the row.
_INCREMENT_VERSIONS_OF_MOVED = text("""
UPDATE members AS m SET version = m.version + 1 FROM people AS p
WHERE p.outcome = 'moved' AND m.org_id = :org_id AND m.id = p.member_id
""")

# The rows that the merge changes, moves or removes are locked first. Concurrent edits, removals and registrations of
# these people commit before or wait. If one of these rows has changed since the outcomes were decided, or if other
# people would leave, the merge begins again.
_LOCK_KNOWN = text("""
SELECT count(*) FROM (
    SELECT m.id FROM members AS m JOIN people AS p ON p.known_id = m.id AND p.known_version = m.version
    WHERE m.org_id = :org_id AND m.removed_at IS NULL AND p.outcome IN ('changed', 'moved')
    ORDER BY m.id FOR UPDATE OF m
) AS locked
""")
_COUNT_KNOWN = text("SELECT count(*) FROM people WHERE outcome IN ('changed', 'moved')")
_LOCK_LEAVING = text("""
SELECT m.id FROM members AS m JOIN changes AS c ON c.member_id = m.id
WHERE m.org_id = :org_id AND c.outcome = 'left' ORDER BY m.id FOR UPDATE OF m
""")
_COUNT_STILL_LEAVING = text(f"""
SELECT (SELECT count(*) FROM changes WHERE outcome = 'left') = (
    SELECT count(*) FROM ({LEAVING}) AS l JOIN changes AS c ON c.member_id = l.id AND c.removed = l.removed
)
""")


def build_removal(leaving: str) -> TextClause:
    """Return the statement that removes the members whose `id` the SELECT `leaving` returns, with their messages.

    It returns the accounts whose link by consent has ended.
    """
    return text(f"""
WITH leaving AS ({leaving}),
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


_REMOVE = build_removal("SELECT member_id AS id FROM changes WHERE outcome = 'left' AND removed")
# `replace-unit`: those who are somewhere else too leave the unit and those under it.
_TAKE_OUT = text("""
WITH leaving AS (SELECT member_id AS id FROM changes WHERE outcome = 'left' AND NOT removed),
ended AS (
    UPDATE unit_memberships AS p SET until = greatest(now(), p.since) FROM leaving AS l
    WHERE p.org_id = :org_id AND p.member_id = l.id AND p.until IS NULL
      AND p.unit_id IN (SELECT unit_id FROM scope)
)
UPDATE members AS m SET version = m.version + 1 FROM leaving AS l WHERE m.org_id = :org_id AND m.id = l.id
""")
_COUNT_NEW_PHONES = text("SELECT count(*) FROM people WHERE new_phone AND outcome = 'changed'")

# One entry for each person whom the import changes, moves or removes, with the import.
_RECORD_CHANGES = text("""
WITH entries AS (
    INSERT INTO audit_entries (org_id, user_id, action, subject_type, subject_id, before, after)
    SELECT :org_id, :user_id,
           CASE WHEN removed THEN 'member.removed' WHEN outcome = 'changed' THEN 'member.edited'
                ELSE 'member.moved' END,
           'member', member_id,
           CASE WHEN outcome = 'left' THEN jsonb_build_object('name', name) ELSE '{}' END || before,
           after || CASE WHEN new_phone THEN jsonb_build_object('phone', 'changed') ELSE '{}' END
               || jsonb_build_object('import_id', CAST(:import_id AS uuid), 'file_name', CAST(:file_name AS text))
    FROM changes WHERE outcome <> 'undecided'
    RETURNING id, org_id, action, subject_type, subject_id
)
INSERT INTO outgoing_events (type, org_id, subject_type, subject_id, audit_entry_id)
SELECT action, org_id, subject_type, subject_id, id FROM entries
""")


async def lock_org(db: AsyncConnection, org_id: UUID) -> str | None:
    """Lock the org FOR NO KEY UPDATE against edits of its units and other merges.

    Return the org's kind, or None if the org is closed.
    """
    kind: str | None = await db.scalar(_LOCK_ORG, {"org_id": org_id})
    return kind


async def create_units(db: AsyncConnection, plan: ImportPlan) -> list[UUID]:
    """Create the units that are missing in `unit_parts`, from the top down. Return the new units.

    Afterwards `resolved` contains them, but `people` does not yet: call `decide_people` again.
    """
    created: list[UUID] = []
    for depth in range(1, MAX_UNIT_DEPTH + 1):
        given = {"org_id": plan.org_id, "depth": depth, "with_undecided": False}
        found = (await db.scalars(_CREATE_UNITS, given)).all()
        created += found
        if found:
            await resolve_units(db, plan)
    return created


async def merge_people(db: AsyncConnection, cipher: Cipher, actor: Actor, plan: ImportPlan, *, party_org: bool) -> None:
    """Apply the outcomes of `people` and `changes`: new and changed rows, removals, unit memberships and activations.

    Locks the rows. Raises Busy if one of the rows has changed after the outcomes were decided.
    """
    org = {"org_id": plan.org_id}
    known = await db.scalar(_COUNT_KNOWN)
    if known and await db.scalar(_LOCK_KNOWN, org) != known:
        raise Busy
    if plan.replaces:
        await db.execute(_LOCK_LEAVING, org)
        if not await db.scalar(_COUNT_STILL_LEAVING, org | {"mode": plan.mode}):
            raise Busy
        await enqueue_user_activations(db, (await db.scalars(_REMOVE, org)).all())
        await db.execute(_TAKE_OUT, org)
    new_phones = await db.scalar(_COUNT_NEW_PHONES)
    if new_phones:
        await change_phones(db, cipher, plan)
    await db.execute(_ADD, plan.parameters | {"party_org": party_org})
    await db.execute(_ACTIVATE_ADDED, org)
    if known:
        await db.execute(_CHANGE, plan.parameters)
        await db.execute(_INCREMENT_VERSIONS_OF_MOVED, org)
        await db.execute(_END_MEMBERSHIPS, org)
    await db.execute(_START_MEMBERSHIPS, org)
    if known:
        changed = "m.org_id = :org_id AND m.id IN (SELECT member_id FROM people WHERE outcome = 'changed')"
        await activate_rows(db, changed, org)
    if plan.replaces or new_phones:
        await supersede_requests_of_removed(db, plan.org_id, actor)


async def record_changes(db: AsyncConnection, actor: Actor, plan: ImportPlan, file_name: str) -> None:
    """Insert an audit entry and an event for each person whom the merge has changed, moved or removed."""
    await db.execute(_RECORD_CHANGES, plan.parameters | {"user_id": actor.user_id, "file_name": file_name})
