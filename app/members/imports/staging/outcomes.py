# ruff: noqa: S608 — the SQL is built from constants only
"""The tables `without_phone` and `people`: the outcome of each person and row, stored and counted."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.members.imports.staging.units import list_new_units

# The people of the directory who have no phone and the name of a row without a phone: those in the row's unit, of whom
# one is `chosen`; if the unit of the row is refused, all of them, since a replacement must not remove them.
_MATCH_WITHOUT_PHONE = """
CREATE TEMPORARY TABLE without_phone ON COMMIT DROP AS
SELECT s.row_no, m.id AS member_id,
       r.problem IS NULL AND m.id = first_value(m.id) OVER (PARTITION BY s.row_no ORDER BY m.id) AS chosen
FROM staged AS s
JOIN resolved AS r ON r.unit_path = s.unit_path
JOIN members AS m ON m.org_id = :org_id AND m.phone_index IS NULL AND m.removed_at IS NULL
    AND name_key(m.name) = name_key(s.name)
WHERE s.phone_index IS NULL AND s.cells_cipher IS NULL AND (r.problem IS NOT NULL OR EXISTS (
    SELECT FROM unit_memberships AS p
    WHERE p.org_id = :org_id AND p.member_id = m.id AND p.unit_id = r.unit_id AND p.until IS NULL
))
"""
_IDENTIFY_WITHOUT_PHONE = """
UPDATE staged AS s
SET person_key = coalesce(
    (SELECT uuid_send(w.member_id) FROM without_phone AS w WHERE w.row_no = s.row_no AND w.chosen),
    sha256(convert_to(name_key(s.name) || '/' || coalesce(r.unit_id::text, r.key), 'UTF8'))
)
FROM resolved AS r
WHERE r.unit_path = s.unit_path AND s.phone_index IS NULL AND s.cells_cipher IS NULL
"""

_DECIDE_OUTCOMES = """
CREATE TEMPORARY TABLE people ON COMMIT DROP AS
WITH grouped AS (
    SELECT s.person_key,
           array_agg(s.row_no ORDER BY s.row_no) AS rows,
           min(name_key(s.name)) <> max(name_key(s.name)) AS two_names,
           bool_or(s.party) <> bool_and(s.party) AS two_flags,
           bool_or(s.party) AS party,
           bool_or(s.probationary) <> bool_and(s.probationary) OR min(s.post) <> max(s.post) AS two_posts,
           bool_or(s.probationary) AS probationary,
           min(s.post) AS post,
           bool_or(s.cells_cipher IS NOT NULL OR r.problem IS NOT NULL) AS refused,
           bool_or(r.unit_id IS NULL) AS new_unit,
           coalesce(array_agg(DISTINCT r.unit_id) FILTER (WHERE r.unit_id IS NOT NULL), '{}') AS unit_ids
    FROM staged AS s LEFT JOIN resolved AS r ON r.unit_path = s.unit_path
    WHERE s.person_key IS NOT NULL
    GROUP BY s.person_key
),
known AS (
    SELECT g.person_key, m.id, m.name, m.party, m.probationary, m.post FROM grouped AS g
    JOIN members AS m ON m.org_id = :org_id AND m.phone_index = g.person_key AND m.removed_at IS NULL
    UNION ALL
    SELECT uuid_send(m.id), m.id, m.name, m.party, m.probationary, m.post
    FROM (SELECT DISTINCT member_id FROM without_phone WHERE chosen) AS w
    JOIN members AS m ON m.org_id = :org_id AND m.id = w.member_id
),
judged AS (
    SELECT g.*, f.name, f.new_member_id, k.id AS known_id,
           k.name AS known_name, k.party AS known_party,
           k.probationary AS known_probationary, k.post AS known_post,
           CASE WHEN g.two_names THEN 'phone-has-two-names'
                WHEN g.two_flags THEN 'party-contradiction'
                WHEN g.two_posts THEN 'post-contradiction'
                WHEN g.refused THEN 'other-row-refused' END AS problem
    FROM grouped AS g
    JOIN staged AS f ON f.row_no = g.rows[1]
    LEFT JOIN known AS k ON k.person_key = g.person_key
)
SELECT j.person_key, j.rows, j.rows[1] AS first_row, j.party, j.probationary, j.post, j.problem, j.new_unit, j.unit_ids,
       coalesce(j.known_id, j.new_member_id) AS member_id,
       CASE WHEN j.problem IS NOT NULL THEN 'refused'
            WHEN j.known_id IS NULL THEN 'added'
            WHEN j.known_name <> j.name OR j.known_party <> j.party
                OR j.known_probationary <> (j.probationary AND coalesce(j.party, j.known_party))
                OR j.known_post IS DISTINCT FROM coalesce(j.post, j.known_post) THEN 'changed'
            WHEN j.new_unit OR j.unit_ids <> ARRAY(
                SELECT p.unit_id FROM unit_memberships AS p
                WHERE p.org_id = :org_id AND p.member_id = j.known_id AND p.until IS NULL AND p.unit_id IS NOT NULL
                ORDER BY p.unit_id) THEN 'moved'
            ELSE 'unchanged' END AS outcome
FROM judged AS j
"""


async def decide_outcomes(db: AsyncConnection, org_id: UUID) -> None:
    """Create the temporary table `people` with the outcome of each person of the table `staged`. The table `resolved`
    must exist."""
    await db.execute(text("DROP TABLE IF EXISTS people, without_phone"))
    await db.execute(text(_MATCH_WITHOUT_PHONE), {"org_id": org_id})
    await db.execute(text(_IDENTIFY_WITHOUT_PHONE))
    await db.execute(text(_DECIDE_OUTCOMES), {"org_id": org_id})
    # The planner's statistics of the directory may be out of date. With these indexes every join order is fast.
    for column in ("person_key", "member_id", "outcome"):
        await db.execute(text(f"CREATE INDEX ON people ({column})"))
    await db.execute(text("ANALYZE people"))


# The outcome, problems and warnings of each row. If many rows have the same phone, only the first ones are related.
_ROW_OUTCOMES = """
SELECT s.row_no,
       CASE WHEN s.cells_cipher IS NOT NULL OR r.problem IS NOT NULL THEN 'refused' ELSE p.outcome END AS outcome,
       CASE WHEN s.cells_cipher IS NOT NULL THEN s.problems
            ELSE array_remove(ARRAY[r.problem, CASE WHEN r.problem IS NULL THEN p.problem END], NULL) END AS problems,
       array_remove(coalesce(s.warnings, '{}'), 'row-repeated')
           || CASE WHEN cardinality(p.rows) > 1 AND s.row_no > min(s.row_no) OVER same
                        AND p.problem IS DISTINCT FROM 'phone-has-two-names'
                   THEN ARRAY['row-repeated'] ELSE '{}' END AS warnings,
       CASE WHEN p.problem IS NOT NULL THEN array_remove(p.rows[1:20], s.row_no) ELSE '{}' END AS related_rows,
       CASE WHEN p.problem IS NULL THEN p.member_id END AS member_id
FROM staged AS s
LEFT JOIN people AS p ON p.person_key = s.person_key
LEFT JOIN resolved AS r ON r.unit_path = s.unit_path
WINDOW same AS (PARTITION BY s.person_key, coalesce(r.unit_id::text, r.key))
"""

_STORE_ROWS = f"""
INSERT INTO import_rows (org_id, import_id, row_no, new_member_id, name, pinyin, initials, phone_cipher, phone_index,
                         phone_last4_index, masked_phone, known_id, unit_path, party, probationary, post, cells_cipher,
                         outcome, problems, warnings, related_rows, member_id)
SELECT :org_id, :import_id, row_no, s.new_member_id, s.name, s.pinyin, s.initials, s.phone_cipher, s.phone_index,
       s.phone_last4_index, s.masked_phone, s.known_id, s.unit_path, s.party, s.probationary, s.post, s.cells_cipher,
       v.outcome, v.problems, v.warnings, v.related_rows, v.member_id
FROM staged AS s JOIN ({_ROW_OUTCOMES}) AS v USING (row_no)
"""

_UPDATE_STORED_ROWS = f"""
UPDATE import_rows AS i
SET outcome = v.outcome, problems = v.problems, warnings = v.warnings, related_rows = v.related_rows,
    member_id = v.member_id
FROM ({_ROW_OUTCOMES}) AS v
WHERE i.org_id = :org_id AND i.import_id = :import_id AND i.row_no = v.row_no
  AND (i.outcome, i.problems, i.warnings, i.related_rows, i.member_id)
      IS DISTINCT FROM (v.outcome, v.problems, v.warnings, v.related_rows, v.member_id)
"""


async def store_rows(db: AsyncConnection, org_id: UUID, import_id: UUID) -> None:
    """Store the rows of `staged` and their outcomes in `import_rows`."""
    await db.execute(text(_STORE_ROWS), {"org_id": org_id, "import_id": import_id})


async def update_stored_rows(db: AsyncConnection, org_id: UUID, import_id: UUID) -> None:
    """Update the outcomes in `import_rows` that have changed since the preview."""
    await db.execute(text(_UPDATE_STORED_ROWS), {"org_id": org_id, "import_id": import_id})


_COUNT_OUTCOMES = """
SELECT (SELECT count(*) FROM members WHERE org_id = :org_id AND removed_at IS NULL) AS people,
       count(*) FILTER (WHERE outcome = 'added') AS added,
       count(*) FILTER (WHERE outcome = 'changed') AS changed,
       count(*) FILTER (WHERE outcome = 'moved') AS moved,
       count(*) FILTER (WHERE outcome = 'unchanged') AS unchanged,
       (SELECT count(*) FROM staged AS s LEFT JOIN people AS p USING (person_key)
        WHERE s.cells_cipher IS NOT NULL OR p.problem IS NOT NULL) AS refused,
       (SELECT count(*) FROM staged) AS rows_total
FROM people
"""

# A replacement removes the people who are not in the file. It does not remove members at the org itself (the management
# group), nor people whose rows are refused.
LEAVING = """
FROM members AS m
WHERE m.org_id = :org_id AND m.removed_at IS NULL
  AND NOT EXISTS (SELECT FROM people AS p WHERE p.person_key = m.phone_index)
  AND NOT EXISTS (SELECT FROM without_phone AS w WHERE w.member_id = m.id)
  AND NOT EXISTS (SELECT FROM unit_memberships AS p
                  WHERE p.org_id = :org_id AND p.member_id = m.id AND p.unit_id IS NULL AND p.until IS NULL)
"""


class OutcomeCounts(NamedTuple):
    """The counts of an import, named as its columns. They count people; `refused` and `rows_total` count rows."""

    people: int
    added: int
    changed: int
    moved: int
    unchanged: int
    refused: int
    rows_total: int
    leaving: int
    new_units: list[str]


async def count_outcomes(db: AsyncConnection, org_id: UUID, mode: str) -> OutcomeCounts:
    """Return the counts of the outcomes; `leaving` is 0 unless the mode is `replace-all`."""
    counted = (await db.execute(text(_COUNT_OUTCOMES), {"org_id": org_id})).one()
    leaving = 0
    if mode == "replace-all":
        leaving = (await db.execute(text(f"SELECT count(*) {LEAVING}"), {"org_id": org_id})).scalar_one()
    return OutcomeCounts(**counted._mapping, leaving=leaving, new_units=await list_new_units(db))
