# ruff: noqa: S608 — put together from constants alone
"""The one merge of an import: everything that `people` says, in a handful of set-based statements.

Runs in one transaction that holds the org's row, so that no unit is edited under it and no other merge of the org
interleaves. Nobody is moved out of the org's own management group by a sheet: it names units only.
"""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.members.activation import NAMES_AGREE, activate_rows, enqueue_user_activations
from app.members.imports.row_problems import UNIT_DEPTH
from app.members.imports.staging import LEAVING, resolve_units
from app.members.transfers.operations import supersede_transfers_of_removed
from app.queue.jobs import Busy

_LOCK_ORG = text("SELECT kind FROM orgs WHERE id = :org_id AND status = 'live' FOR NO KEY UPDATE")

# The missing units of one depth, in the order in which the sheet first names them; those above are there by now.
_CREATE_UNITS = text("""
WITH wanted AS (
    SELECT string_to_array(r.unit_path, '/') AS names, min(s.row_no) AS row_no
    FROM resolved AS r JOIN staged AS s ON s.unit_path = r.unit_path JOIN people AS p ON p.phone_index = s.phone_index
    WHERE r.unit_id IS NULL AND r.problem IS NULL AND p.problem IS NULL
    GROUP BY r.unit_path
),
of_depth AS (
    SELECT array_to_string(names[1:CAST(:depth AS int)], '/') AS path,
           array_to_string(names[1:CAST(:depth AS int) - 1], '/') AS above,
           names[CAST(:depth AS int)] AS name,
           min(row_no) AS row_no
    FROM wanted WHERE cardinality(names) >= CAST(:depth AS int)
    GROUP BY 1, 2, 3
)
INSERT INTO units (org_id, parent_id, name, kind)
SELECT :org_id, parent.unit_id, d.name,
       CASE WHEN d.name LIKE '%总支%' THEN 'general_branch'
            WHEN d.name LIKE '%支部%' THEN 'branch' ELSE 'department' END
FROM of_depth AS d
LEFT JOIN paths AS parent ON parent.path = d.above
WHERE NOT EXISTS (SELECT FROM paths AS same WHERE same.path = d.path)
ORDER BY d.row_no
ON CONFLICT DO NOTHING
RETURNING id
""")

_ADD = text(f"""
INSERT INTO members (org_id, id, user_id, name, pinyin, initials, phone_cipher, phone_index, phone_last4_index, party)
SELECT :org_id, m.new_member_id, u.id, m.name, m.pinyin, m.initials, m.phone_cipher, m.phone_index,
       m.phone_last4_index, coalesce(p.party, :party_org)
FROM people AS p
JOIN staged AS m ON m.row_no = p.first_row
LEFT JOIN users AS u ON u.phone_index = m.phone_index AND u.status = 'active' AND {NAMES_AGREE}
    AND NOT EXISTS (SELECT FROM members AS o WHERE o.org_id = :org_id AND o.user_id = u.id)
WHERE p.outcome = 'added'
ORDER BY p.first_row
""")

_ACTIVATE_ADDED = text("""
INSERT INTO activations (org_id, member_id, user_id)
SELECT m.org_id, m.id, m.user_id FROM people AS p JOIN members AS m ON m.org_id = :org_id AND m.id = p.member_id
WHERE p.outcome = 'added' AND m.user_id IS NOT NULL
""")

_CHANGE = text("""
UPDATE members AS m
SET name = s.name, pinyin = s.pinyin, initials = s.initials, party = coalesce(p.party, m.party), version = m.version + 1
FROM people AS p JOIN staged AS s ON s.row_no = p.first_row
WHERE p.outcome = 'changed' AND m.org_id = :org_id AND m.id = p.member_id
""")

_END_PLACES = text("""
UPDATE unit_memberships AS old SET until = greatest(now(), old.since)
FROM people AS p
WHERE p.outcome IN ('changed', 'moved') AND old.org_id = :org_id AND old.member_id = p.member_id
  AND old.until IS NULL AND old.unit_id IS NOT NULL AND old.unit_id <> ALL (p.unit_ids)
""")

_BEGIN_PLACES = text("""
INSERT INTO unit_memberships (org_id, member_id, unit_id)
SELECT :org_id, p.member_id, unit_id FROM people AS p, unnest(p.unit_ids) AS unit_id
WHERE p.outcome IN ('added', 'changed', 'moved')
ON CONFLICT DO NOTHING
""")

# A person that moves only has a new version too: who had read the row must not overwrite it.
_TOUCH_MOVED = text("""
UPDATE members AS m SET version = m.version + 1 FROM people AS p
WHERE p.outcome = 'moved' AND m.org_id = :org_id AND m.id = p.member_id
""")

# Who is changed, moved or removed is held first: whoever edits, removes or registers them is done by then, or comes
# after. Nobody leaves who was not held, nor who has got a place at the org itself meanwhile.
_HOLD_KNOWN = text("""
SELECT count(*) FROM (
    SELECT m.id FROM members AS m JOIN people AS p ON p.member_id = m.id AND p.phone_index = m.phone_index
    WHERE m.org_id = :org_id AND m.removed_at IS NULL AND p.outcome IN ('changed', 'moved')
    ORDER BY m.id FOR UPDATE OF m
) AS held
""")
_KNOWN = text("SELECT count(*) FROM people WHERE outcome IN ('changed', 'moved')")
_HOLD_LEAVING = text(
    f"CREATE TEMPORARY TABLE leaving_held ON COMMIT DROP AS SELECT m.id {LEAVING} ORDER BY m.id FOR UPDATE OF m"
)
_REMOVE = text(f"""
WITH leaving AS (SELECT m.id {LEAVING} AND m.id IN (SELECT id FROM leaving_held)),
ended AS (
    UPDATE activations AS a SET until = greatest(now(), a.since) FROM leaving AS l
    WHERE a.org_id = :org_id AND a.member_id = l.id AND a.until IS NULL
    RETURNING a.user_id, a.consented_by
),
left_places AS (
    UPDATE unit_memberships AS p SET until = greatest(now(), p.since) FROM leaving AS l
    WHERE p.org_id = :org_id AND p.member_id = l.id AND p.until IS NULL
), removed AS (
    UPDATE members AS m SET removed_at = now(), user_id = NULL, version = m.version + 1
    FROM leaving AS l WHERE m.org_id = :org_id AND m.id = l.id
)
SELECT user_id FROM ended WHERE consented_by IS NOT NULL
""")


async def lock_org(db: AsyncConnection, org_id: UUID) -> str | None:
    """Hold the org against edits of its units and other merges; gives its kind, None where it has been closed."""
    kind: str | None = await db.scalar(_LOCK_ORG, {"org_id": org_id})
    return kind


async def create_units(db: AsyncConnection, org_id: UUID) -> int:
    """Make the units that `resolved` lacks, from the top down; gives how many.

    `resolved` knows them afterwards, `people` not yet.
    """
    made = 0
    for depth in range(1, UNIT_DEPTH + 1):
        found = (await db.execute(_CREATE_UNITS, {"org_id": org_id, "depth": depth})).all()
        made += len(found)
        if found:
            await resolve_units(db, org_id, create_units=True)
    return made


async def merge_people(db: AsyncConnection, org_id: UUID, *, party_org: bool, replace_all: bool) -> None:
    """Write what `people` decides: new and changed rows, their units, activations; with `replace_all` who leaves.

    Raises Busy where somebody has been removed or got another phone since it was decided.
    """
    known = await db.scalar(_KNOWN)
    if known and await db.scalar(_HOLD_KNOWN, {"org_id": org_id}) != known:
        raise Busy
    if replace_all:
        await db.execute(_HOLD_LEAVING, {"org_id": org_id})
        await enqueue_user_activations(db, (await db.scalars(_REMOVE, {"org_id": org_id})).all())
        await supersede_transfers_of_removed(db, org_id)
    await db.execute(_ADD, {"org_id": org_id, "party_org": party_org})
    await db.execute(_ACTIVATE_ADDED, {"org_id": org_id})
    for statement in (_CHANGE, _TOUCH_MOVED, _END_PLACES, _BEGIN_PLACES):
        await db.execute(statement, {"org_id": org_id})
    changed = "m.org_id = :org_id AND m.id IN (SELECT member_id FROM people WHERE outcome = 'changed')"
    await activate_rows(db, changed, {"org_id": org_id})
