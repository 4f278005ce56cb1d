# ruff: noqa: S608 — the SQL is built from constants only
"""The table `changes`: what becomes of people of the directory, before and after; and who leaves."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.members.imports.staging.plan import ImportPlan

# A refused row without a known person may be about a person of the same name in its unit, or of any unit if its unit
# cannot be found. Such a person does not leave.
_PROTECT = """
CREATE TEMPORARY TABLE protected ON COMMIT DROP AS
SELECT DISTINCT m.id AS member_id
FROM staged AS s
LEFT JOIN people AS p ON p.person_key = s.person_key
LEFT JOIN resolved AS r ON r.unit_path = s.unit_path
JOIN members AS m ON m.org_id = :org_id AND m.removed_at IS NULL AND m.pinyin = s.pinyin
    AND name_key(m.name) = s.name_key
WHERE (s.person_key IS NULL OR p.outcome = 'refused' AND p.known_id IS NULL)
  AND (coalesce(cardinality(r.unit_ids), 0) = 0 OR EXISTS (
    SELECT FROM unit_memberships AS u
    WHERE u.org_id = :org_id AND u.member_id = m.id AND u.until IS NULL AND u.unit_id = ANY (r.unit_ids)
  ))
"""

_IN_SCOPE = """EXISTS (
    SELECT FROM unit_memberships AS u
    WHERE u.org_id = :org_id AND u.member_id = m.id AND u.until IS NULL AND u.unit_id IN (SELECT unit_id FROM scope)
)"""
_AT_ORG = """EXISTS (
    SELECT FROM unit_memberships AS u
    WHERE u.org_id = :org_id AND u.member_id = m.id AND u.until IS NULL AND u.unit_id IS NULL
)"""
# `replace-all` removes the people who are not in the file, but no members at the org itself (the management group).
# `replace-unit` takes them out of the unit and those under it, and removes those who are nowhere else.
LEAVING = f"""
SELECT m.id, m.name, m.user_id IS NOT NULL AS active,
       CAST(:mode AS text) = 'replace-all' OR NOT EXISTS (
            SELECT FROM unit_memberships AS u
            WHERE u.org_id = :org_id AND u.member_id = m.id AND u.until IS NULL
              AND (u.unit_id IS NULL OR u.unit_id NOT IN (SELECT unit_id FROM scope))
       ) AS removed
FROM members AS m
WHERE m.org_id = :org_id AND m.removed_at IS NULL
  AND NOT EXISTS (SELECT FROM people AS p WHERE p.person_key = m.phone_index)
  AND NOT EXISTS (SELECT FROM identified AS i WHERE i.member_id = m.id)
  AND NOT EXISTS (SELECT FROM candidates AS c WHERE c.member_id = m.id)
  AND NOT EXISTS (SELECT FROM protected AS p WHERE p.member_id = m.id)
  AND CASE WHEN CAST(:mode AS text) = 'replace-all' THEN NOT {_AT_ORG} ELSE {_IN_SCOPE} END
"""

_UNITS = """to_jsonb(ARRAY(
    SELECT path FROM (SELECT path FROM paths WHERE unit_id = ANY ({units}) {and_new}) AS u ORDER BY path COLLATE "C"
))"""
_KNOWN_UNITS = _UNITS.format(units="p.known_units", and_new="")
_TARGET_UNITS = _UNITS.format(
    units="p.unit_ids",
    and_new="""UNION SELECT unnest(r.new_paths) FROM staged AS s JOIN resolved AS r USING (unit_path)
        WHERE p.new_unit AND s.row_no = ANY (p.rows)""",
)
_OPEN_UNITS = _UNITS.replace("unit_id = ANY ({units})", "{condition}").replace(" {and_new}", "")
_OF_MEMBER = """EXISTS (
    SELECT FROM unit_memberships AS u
    WHERE u.org_id = :org_id AND u.member_id = l.id AND u.until IS NULL AND u.unit_id = paths.unit_id
)"""
_LEFT_UNITS = _OPEN_UNITS.format(condition=_OF_MEMBER)
_REMAINING_UNITS = _OPEN_UNITS.format(
    condition=f"NOT l.removed AND unit_id NOT IN (SELECT unit_id FROM scope) AND {_OF_MEMBER}"
)

NEW_PARTY = "coalesce(p.party, m.party)"
NEW_PROBATIONARY = f"coalesce(p.probationary AND {NEW_PARTY}, m.probationary AND coalesce(p.party, true))"
NEW_POST = "coalesce(p.post, m.post)"

# The values that differ, before and after. A value that is not there is empty. `active` is there if the person will be
# 未激活: the account does not have the new phone, and no admin has consented to the link.
_BECOMES_INACTIVE = """(p.new_phone AND m.user_id IS NOT NULL AND (p.phone_index IS NULL OR EXISTS (
    SELECT FROM activations AS a JOIN users AS u ON u.id = a.user_id
    WHERE a.org_id = :org_id AND a.member_id = m.id AND a.until IS NULL AND a.consented_by IS NULL
      AND u.phone_index IS DISTINCT FROM p.phone_index
)))"""
_COMPARE = f"""
CREATE TEMPORARY TABLE changes ON COMMIT DROP AS
SELECT m.id AS member_id, p.first_row AS row_no, p.outcome, m.name, p.new_phone,
       CASE WHEN p.new_phone THEN m.phone_cipher END AS phone_cipher, false AS removed,
       jsonb_strip_nulls(jsonb_build_object(
           'name', CASE WHEN p.name <> m.name THEN m.name END,
           'units', CASE WHEN v.before_units <> v.after_units THEN v.before_units END,
           'at_org', CASE WHEN v.comes_to_org THEN false END,
           'party', CASE WHEN {NEW_PARTY} <> m.party THEN m.party END,
           'probationary', CASE WHEN {NEW_PROBATIONARY} <> m.probationary THEN m.probationary END,
           'post', CASE WHEN {NEW_POST} <> m.post THEN m.post END,
           'active', CASE WHEN v.becomes_inactive THEN true END
       )) AS before,
       jsonb_strip_nulls(jsonb_build_object(
           'name', CASE WHEN p.name <> m.name THEN p.name END,
           'units', CASE WHEN v.before_units <> v.after_units THEN v.after_units END,
           'at_org', CASE WHEN v.comes_to_org THEN true END,
           'party', CASE WHEN {NEW_PARTY} <> m.party THEN {NEW_PARTY} END,
           'probationary', CASE WHEN {NEW_PROBATIONARY} <> m.probationary THEN {NEW_PROBATIONARY} END,
           'post', CASE WHEN {NEW_POST} IS DISTINCT FROM m.post THEN {NEW_POST} END,
           'active', CASE WHEN v.becomes_inactive THEN false END
       )) AS after
FROM people AS p JOIN members AS m ON m.org_id = :org_id AND m.id = p.known_id
CROSS JOIN LATERAL (
    SELECT {_KNOWN_UNITS} AS before_units, {_TARGET_UNITS} AS after_units,
           coalesce(p.at_org, false) AND NOT {_AT_ORG} AS comes_to_org, {_BECOMES_INACTIVE} AS becomes_inactive
    OFFSET 0
) AS v
WHERE p.outcome IN ('changed', 'moved', 'undecided')
"""
_COMPARE_LEAVING = f"""
INSERT INTO changes (member_id, row_no, outcome, name, new_phone, phone_cipher, removed, before, after)
SELECT l.id, NULL, 'left', l.name, false, NULL, l.removed,
       jsonb_strip_nulls(jsonb_build_object(
           'units', {_LEFT_UNITS},
           'in_directory', CASE WHEN l.removed THEN true END,
           'active', CASE WHEN l.removed AND l.active THEN true END
       )),
       jsonb_strip_nulls(jsonb_build_object(
           'units', {_REMAINING_UNITS},
           'in_directory', CASE WHEN l.removed THEN false END,
           'active', CASE WHEN l.removed AND l.active THEN false END
       ))
FROM ({LEAVING}) AS l
"""


async def compare_changes(db: AsyncConnection, plan: ImportPlan) -> None:
    """Create `changes`. The tables up to `people` must exist."""
    await db.execute(text("DROP TABLE IF EXISTS protected, changes"))
    await db.execute(text("CREATE INDEX ON paths (unit_id)"))
    await db.execute(text(_COMPARE), {"org_id": plan.org_id})
    if plan.replaces:
        await db.execute(text(_PROTECT), {"org_id": plan.org_id})
        await db.execute(text(_COMPARE_LEAVING), {"org_id": plan.org_id, "mode": plan.mode})
    await db.execute(text("ANALYZE changes"))


# What the merge would do and the preview does not show: another change of a person, an addition, or a decision that the
# admin has not seen. Exactly the people who are shown must leave. A person with another phone in the directory is added
# only if the admin has said in a row that they are another person.
_COUNT_UNSEEN = text("""
WITH shown AS (
    SELECT member_id, outcome = 'left' AS leaves, before, after FROM import_changes
    WHERE org_id = :org_id AND import_id = :import_id
), due AS (
    SELECT member_id, outcome = 'left' AS leaves, before, after FROM changes WHERE outcome <> 'undecided'
)
SELECT (SELECT count(*) FROM (TABLE due EXCEPT TABLE shown) AS more)
    + (SELECT count(*) FROM (
        SELECT member_id FROM shown WHERE leaves EXCEPT SELECT member_id FROM due WHERE leaves) AS fewer)
    + (SELECT count(*) FROM people AS p JOIN staged AS s ON s.row_no = p.first_row
       WHERE p.outcome = 'undecided' AND s.shown_outcome <> 'undecided'
          OR p.outcome = 'added' AND s.shown_outcome <> 'added' AND NOT p.other_phone)
""")


async def count_unseen_changes(db: AsyncConnection, plan: ImportPlan) -> int:
    """Return how many changes of `changes` and additions the stored preview does not show as they are now."""
    return int((await db.execute(_COUNT_UNSEEN, plan.parameters)).scalar_one())


_FORGET_CHANGES = text("DELETE FROM import_changes WHERE org_id = :org_id AND import_id = :import_id")
_STORE_CHANGES = text("""
INSERT INTO import_changes (org_id, import_id, member_id, row_no, outcome, name, before, after, phone_cipher, new_phone)
SELECT :org_id, :import_id, member_id, row_no, outcome, name, before, after, phone_cipher, new_phone FROM changes
WHERE CAST(:with_undecided AS boolean) OR outcome <> 'undecided'
""")


async def store_changes(db: AsyncConnection, plan: ImportPlan, *, with_undecided: bool) -> None:
    """Store `changes` in `import_changes`, in place of those that were stored."""
    await db.execute(_FORGET_CHANGES, plan.parameters)
    await db.execute(_STORE_CHANGES, plan.parameters | {"with_undecided": with_undecided})


_FORGET_AFFECTED = text("""
DELETE FROM import_changes
WHERE org_id = :org_id AND import_id = :import_id AND row_no IN (SELECT row_no FROM affected)
""")


async def store_affected_changes(db: AsyncConnection, plan: ImportPlan) -> None:
    """Store `changes`, which has those of the rows in `affected`, in place of the stored ones of these rows."""
    await db.execute(_FORGET_AFFECTED, plan.parameters)
    await db.execute(_STORE_CHANGES, plan.parameters | {"with_undecided": True})


_STORE_VERSIONS = text("""
UPDATE import_changes AS c SET version = m.version FROM members AS m
WHERE c.org_id = :org_id AND c.import_id = :import_id AND m.org_id = :org_id AND m.id = c.member_id
""")


async def store_versions(db: AsyncConnection, plan: ImportPlan) -> None:
    """Store the versions that the changed members have after the merge, to find those that are edited later."""
    await db.execute(_STORE_VERSIONS, plan.parameters)
