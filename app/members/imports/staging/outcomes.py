# ruff: noqa: S608 — the SQL is built from constants only
"""The outcome of each row, stored in `import_rows`; the counts of an import; a digest of the directory."""

from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.members.imports.staging.plan import ImportPlan
from app.members.imports.staging.units import list_new_units

# The outcome, problems and warnings of each row. If many rows have the same phone, only the first ones are related.
# After the merge an undecided row counts as refused, since the admin did not accept it.
_ROW_OUTCOMES = """
WITH repeated AS (
    SELECT row_no FROM (
        SELECT s.row_no, row_number() OVER (PARTITION BY s.person_key, r.place ORDER BY s.row_no) AS number
        FROM people AS p JOIN staged AS s ON s.person_key = p.person_key
        LEFT JOIN resolved AS r ON r.unit_path = s.unit_path
        WHERE cardinality(p.rows) > 1 AND p.problem IS DISTINCT FROM 'phone-has-two-names'
    ) AS numbered WHERE number > 1
),
named AS MATERIALIZED (
    SELECT s.row_no, s.name_key, r.place, s.person_key FROM staged AS s JOIN resolved AS r ON r.unit_path = s.unit_path
    WHERE s.name IS NOT NULL AND s.person_key IS NOT NULL AND r.problem IS NULL
),
twins AS (
    -- Few names are in a unit twice: the rows are sorted for those only.
    SELECT name_key, place, (array_agg(row_no ORDER BY row_no))[1:20] AS rows
    FROM named JOIN (SELECT name_key, place FROM named GROUP BY name_key, place HAVING count(*) > 1) AS o
        USING (name_key, place)
    GROUP BY name_key, place HAVING min(person_key) <> max(person_key)
)
SELECT s.row_no,
       CASE WHEN s.refused OR r.problem IS NOT NULL THEN 'refused'
            WHEN p.outcome = 'undecided' AND CAST(:final AS boolean) THEN 'refused' ELSE p.outcome END AS outcome,
       s.problems || array_remove(ARRAY[
           r.problem,
           CASE WHEN p.problem = 'other-row-refused' AND (s.refused OR r.problem IS NOT NULL) THEN NULL
                ELSE p.problem END,
           CASE WHEN p.outcome = 'undecided' THEN p.question END
       ], NULL) AS problems,
       s.warnings || array_remove(ARRAY[
           CASE WHEN repeated.row_no IS NOT NULL THEN 'row-repeated' END,
           CASE WHEN twins.rows IS NOT NULL THEN 'same-name-in-unit' END
       ], NULL) AS warnings,
       CASE WHEN p.problem IS NOT NULL THEN array_remove(p.rows[1:20], s.row_no)
            ELSE array_remove(coalesce(twins.rows, '{}'), s.row_no) END AS related_rows,
       CASE WHEN p.outcome = 'undecided' THEN p.known_id WHEN p.problem IS NULL THEN p.member_id END AS member_id,
       s.shown_outcome, s.shown_member_id, s.shown_plain
FROM staged AS s
LEFT JOIN people AS p ON p.person_key = s.person_key
LEFT JOIN resolved AS r ON r.unit_path = s.unit_path
LEFT JOIN repeated ON repeated.row_no = s.row_no
LEFT JOIN twins ON twins.name_key = s.name_key AND twins.place = r.place
"""

# Most rows have no problem and no warning and are stored so: only the others are joined with their stored row.
_STORE_ROW_OUTCOMES = text(f"""
WITH v AS MATERIALIZED (
    SELECT * FROM ({_ROW_OUTCOMES}) AS o
    WHERE NOT shown_plain OR outcome <> shown_outcome OR member_id IS DISTINCT FROM shown_member_id
       OR problems <> '{{}}' OR warnings <> '{{}}' OR related_rows <> '{{}}'
)
UPDATE import_rows AS i
SET outcome = v.outcome, problems = v.problems, warnings = v.warnings, related_rows = v.related_rows,
    member_id = v.member_id
FROM v
WHERE i.org_id = :org_id AND i.import_id = :import_id AND i.row_no = v.row_no
  AND (i.outcome, i.problems, i.warnings, i.related_rows, i.member_id)
      IS DISTINCT FROM (v.outcome, v.problems, v.warnings, v.related_rows, v.member_id)
""")


_DIFFER = text("""
SELECT EXISTS (
    SELECT FROM staged AS s LEFT JOIN people AS p ON p.person_key = s.person_key
    WHERE coalesce(p.outcome, 'refused') <> s.shown_outcome OR s.shown_outcome = 'undecided'
       OR s.shown_outcome <> 'refused' AND p.member_id IS DISTINCT FROM s.shown_member_id
)
""")


async def store_row_outcomes(
    db: AsyncConnection, plan: ImportPlan, *, final: bool, same_directory: bool = False
) -> None:
    """Store the outcomes in `import_rows`, where they differ. `final` are those after the merge.

    In the directory of the preview (`same_directory`), nothing differs if no row has another outcome: problems and
    related rows depend on the same rows. That is faster to find out.
    """
    if same_directory and not await db.scalar(_DIFFER):
        return
    await db.execute(_STORE_ROW_OUTCOMES, plan.parameters | {"final": final})


_COUNT_OUTCOMES = text("""
SELECT CASE WHEN CAST(:mode AS text) = 'replace-unit' THEN
           (SELECT count(DISTINCT u.member_id) FROM unit_memberships AS u
            WHERE u.org_id = :org_id AND u.until IS NULL AND u.unit_id IN (SELECT unit_id FROM scope))
       ELSE (SELECT count(*) FROM members WHERE org_id = :org_id AND removed_at IS NULL) END AS people,
       p.*, s.*, (SELECT count(*) FROM changes WHERE outcome = 'left') AS leaving
FROM (
    SELECT count(*) FILTER (WHERE outcome = 'added') AS added,
           count(*) FILTER (WHERE outcome = 'changed') AS changed,
           count(*) FILTER (WHERE outcome = 'moved') AS moved,
           count(*) FILTER (WHERE outcome = 'unchanged') AS unchanged
    FROM people
) AS p, (
    SELECT count(*) FILTER (WHERE s.refused OR p.problem IS NOT NULL
               OR CAST(:final AS boolean) AND p.outcome = 'undecided') AS refused,
           count(*) FILTER (WHERE NOT CAST(:final AS boolean) AND p.outcome = 'undecided') AS undecided,
           count(*) FILTER (WHERE s.name IS NULL AND s.person_key IS NULL) AS unidentified,
           count(*) AS rows_total
    FROM staged AS s LEFT JOIN people AS p USING (person_key)
) AS s
""")


class OutcomeCounts(NamedTuple):
    """The counts of an import, named as its columns. They count people; `refused`, `undecided`, `unidentified` and
    `rows_total` count rows."""

    people: int
    added: int
    changed: int
    moved: int
    unchanged: int
    refused: int
    undecided: int
    unidentified: int
    rows_total: int
    leaving: int
    new_units: list[str]


async def count_outcomes(db: AsyncConnection, plan: ImportPlan, *, final: bool) -> OutcomeCounts:
    """Return the counts of the outcomes. `final` are those after the merge."""
    given = {"org_id": plan.org_id, "mode": plan.mode, "final": final}
    counted = (await db.execute(_COUNT_OUTCOMES, given)).one()
    return OutcomeCounts(**counted._mapping, new_units=await list_new_units(db, with_undecided=not final))


# The same counts of the rows in `import_rows`. A person is a member, and people who are refused are not counted.
_COUNT_STORED = text("""
SELECT (SELECT count(*) FROM members WHERE org_id = :org_id AND removed_at IS NULL) AS people, p.*, s.*, 0 AS leaving
FROM (
    SELECT count(*) FILTER (WHERE outcome = 'added') AS added,
           count(*) FILTER (WHERE outcome = 'changed') AS changed,
           count(*) FILTER (WHERE outcome = 'moved') AS moved,
           count(*) FILTER (WHERE outcome = 'unchanged') AS unchanged
    FROM (
        SELECT DISTINCT outcome, member_id FROM import_rows
        WHERE org_id = :org_id AND import_id = :import_id AND outcome NOT IN ('refused', 'undecided')
    ) AS person
) AS p, (
    SELECT count(*) FILTER (WHERE outcome = 'refused') AS refused,
           count(*) FILTER (WHERE outcome = 'undecided') AS undecided,
           count(*) FILTER (WHERE name IS NULL AND phone_index IS NULL AND masked_phone IS NULL AND NOT EXISTS (
               SELECT FROM members AS m WHERE m.org_id = :org_id AND m.id = known_id AND m.removed_at IS NULL
           )) AS unidentified,
           count(*) AS rows_total
    FROM import_rows WHERE org_id = :org_id AND import_id = :import_id
) AS s
""")


async def count_stored_outcomes(db: AsyncConnection, plan: ImportPlan) -> OutcomeCounts:
    """Return the counts of the stored outcomes of an import that only adds and updates people."""
    counted = (await db.execute(_COUNT_STORED, plan.parameters)).one()
    new_units = await list_new_units(db, with_undecided=True, stored=plan)
    return OutcomeCounts(**counted._mapping, new_units=new_units)


_DIGEST = text("""
SELECT concat_ws(' ', m.people, m.digest, u.units, u.digest)
FROM (SELECT count(*) AS people, bit_xor(hashtextextended(id::text, version)) AS digest
      FROM members WHERE org_id = :org_id AND removed_at IS NULL) AS m,
     (SELECT count(*) AS units, bit_xor(hashtextextended(concat_ws(' ', id, parent_id, name), 0)) AS digest
      FROM units WHERE org_id = :org_id AND removed_at IS NULL) AS u
""")


async def compute_directory_digest(db: AsyncConnection, plan: ImportPlan) -> str:
    """Return a text that changes whenever a member row or a unit of the org does."""
    return str(await db.scalar(_DIGEST, {"org_id": plan.org_id}))
