"""The tables `identified`, `persons`, `candidates` and `people`: who the people of a sheet are, and what becomes of
each."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.members.imports.staging.plan import ImportPlan

# The people of the directory whom a row is about otherwise than by the phone: by the number of the person in an export,
# by name and the last digits of a masked phone, and by name and unit where the row has no phone. Of several people one
# is `chosen`, or none where that would be a guess. Those that are not chosen do not leave, since the row may be theirs.
_IDENTIFY = """
CREATE TEMPORARY TABLE identified ON COMMIT DROP AS
SELECT s.row_no, m.id AS member_id, coalesce(m.phone_index, uuid_send(m.id)) AS person_key, s.phone_index,
       NOT s.masked OR s.phone_last4_index IS NOT DISTINCT FROM m.phone_last4_index AS chosen
FROM staged AS s JOIN members AS m ON m.org_id = :org_id AND m.id = s.known_id AND m.removed_at IS NULL
UNION ALL
SELECT s.row_no, m.id, coalesce(m.phone_index, uuid_send(m.id)), NULL, count(*) OVER (PARTITION BY s.row_no) = 1
FROM staged AS s
JOIN members AS m ON m.org_id = :org_id AND m.phone_last4_index = s.phone_last4_index AND m.removed_at IS NULL
    AND name_key(m.name) = s.name_key
WHERE s.masked AND NOT EXISTS (
    SELECT FROM members AS known WHERE known.org_id = :org_id AND known.id = s.known_id AND known.removed_at IS NULL
)
UNION ALL
SELECT s.row_no, m.id, uuid_send(m.id), NULL,
       r.problem IS NULL AND m.id = first_value(m.id) OVER (PARTITION BY s.row_no ORDER BY m.id)
FROM staged AS s
JOIN resolved AS r ON r.unit_path = s.unit_path
JOIN members AS m ON m.org_id = :org_id AND m.phone_index IS NULL AND m.removed_at IS NULL
    AND name_key(m.name) = s.name_key
WHERE s.phone_last4_index IS NULL AND NOT s.refused AND NOT EXISTS (
    SELECT FROM members AS known WHERE known.org_id = :org_id AND known.id = s.known_id AND known.removed_at IS NULL
) AND (r.problem IS NOT NULL OR EXISTS (
    SELECT FROM unit_memberships AS p
    WHERE p.org_id = :org_id AND p.member_id = m.id AND p.unit_id = ANY (r.unit_ids) AND p.until IS NULL
))
"""
_IDENTIFY_ROWS = """
UPDATE staged AS s
SET person_key = coalesce(
    (SELECT i.person_key FROM identified AS i WHERE i.row_no = s.row_no AND i.chosen LIMIT 1),
    s.phone_index,
    CASE WHEN s.masked THEN sha256(convert_to('row ' || s.row_no, 'UTF8'))
         WHEN NOT s.refused THEN
             (SELECT sha256(convert_to(s.name_key || '/' || coalesce(r.place, ''), 'UTF8'))
              FROM resolved AS r WHERE r.unit_path = s.unit_path) END
)
WHERE s.phone_index IS NULL OR s.known_id IS NOT NULL
"""

# Most people have one row. Only the rows of the others are sorted and grouped.
_GROUP = """
CREATE TEMPORARY TABLE persons ON COMMIT DROP AS
WITH repeated AS MATERIALIZED (
    SELECT person_key FROM staged WHERE person_key IS NOT NULL GROUP BY person_key HAVING count(*) > 1
),
single AS (
    SELECT s.person_key, ARRAY[s.row_no] AS rows, false AS two_names, false AS two_flags, s.party, false AS two_posts,
           s.probationary, s.post, false AS two_phones, s.phone_index,
           s.phone_last4_index IS NULL AND NOT s.masked AND NOT s.refused AS no_phone, s.masked,
           s.refused OR r.problem IS NOT NULL AS refused, r.at_org, r.new_paths <> '{}' AS new_unit,
           s.decision = 'accepted' AS accepted, s.decision = 'separate' AS separate,
           s.new_member_id, s.name, s.name_key, s.pinyin, r.unit_ids
    FROM staged AS s LEFT JOIN resolved AS r ON r.unit_path = s.unit_path
    WHERE s.person_key IS NOT NULL AND NOT EXISTS (SELECT FROM repeated AS o WHERE o.person_key = s.person_key)
),
grouped AS (
    SELECT s.person_key,
           array_agg(s.row_no ORDER BY s.row_no) AS rows,
           min(s.name_key) <> max(s.name_key) AS two_names,
           bool_or(s.party) <> bool_and(s.party) AS two_flags,
           bool_or(s.party) AS party,
           bool_or(s.probationary) <> bool_and(s.probationary) OR min(s.post) <> max(s.post) AS two_posts,
           bool_or(s.probationary) AS probationary,
           min(s.post) AS post,
           coalesce(min(s.phone_index) <> max(s.phone_index), false) AS two_phones,
           min(s.phone_index) AS phone_index,
           bool_and(s.phone_last4_index IS NULL AND NOT s.masked AND NOT s.refused) AS no_phone,
           bool_or(s.masked) AS masked,
           bool_or(s.refused OR r.problem IS NOT NULL) AS refused,
           bool_or(r.at_org) AS at_org,
           bool_or(r.new_paths <> '{}') AS new_unit,
           bool_or(s.decision = 'accepted') AS accepted,
           bool_or(s.decision = 'separate') AS separate
    FROM staged AS s JOIN repeated AS o ON o.person_key = s.person_key
    LEFT JOIN resolved AS r ON r.unit_path = s.unit_path
    GROUP BY s.person_key
),
every AS (
    SELECT * FROM single
    UNION ALL
    SELECT g.*, f.new_member_id, f.name, f.name_key, f.pinyin,
           ARRAY(SELECT DISTINCT unnest(o.unit_ids) FROM staged AS s JOIN resolved AS o USING (unit_path)
                 WHERE s.row_no = ANY (g.rows) ORDER BY 1)
    FROM grouped AS g JOIN staged AS f ON f.row_no = g.rows[1]
)
SELECT g.*, coalesce(m.id, i.member_id) AS member_id,
       CASE WHEN g.two_names THEN 'phone-has-two-names'
            WHEN g.two_phones THEN 'person-has-two-phones'
            WHEN g.two_flags THEN 'party-contradiction'
            WHEN g.two_posts THEN 'post-contradiction'
            WHEN g.masked AND coalesce(m.id, i.member_id) IS NULL THEN 'phone-masked'
            WHEN g.refused THEN 'other-row-refused' END AS problem
FROM every AS g
LEFT JOIN identified AS i ON i.row_no = g.rows[1] AND i.chosen
LEFT JOIN members AS m ON m.org_id = :org_id AND m.phone_index = g.person_key AND m.removed_at IS NULL
"""

# People of the directory with the name and a unit of a person of the sheet whose phone is new, and whom no other row is
# about. A person without a phone in the sheet can be one with a phone, and the other way round.
_FIND_CANDIDATES = """
CREATE TEMPORARY TABLE candidates ON COMMIT DROP AS
SELECT p.person_key, m.id AS member_id,
       count(*) OVER (PARTITION BY p.person_key) = 1 AND count(*) OVER (PARTITION BY m.id) = 1 AS only_one
FROM persons AS p
JOIN members AS m ON m.org_id = :org_id AND m.removed_at IS NULL AND m.pinyin = p.pinyin
    AND name_key(m.name) = p.name_key
WHERE p.member_id IS NULL AND p.problem IS NULL
  AND NOT EXISTS (SELECT FROM persons AS o WHERE o.person_key = coalesce(m.phone_index, uuid_send(m.id)))
  AND NOT EXISTS (SELECT FROM identified AS i WHERE i.member_id = m.id)
  AND EXISTS (
    SELECT FROM unit_memberships AS u
    WHERE u.org_id = :org_id AND u.member_id = m.id AND u.until IS NULL
      AND (u.unit_id = ANY (p.unit_ids) OR u.unit_id IS NULL AND p.at_org)
  )
"""

# The units of the people of the directory, in the order of their ids. They are read for all people at once: with old
# statistics, the planner read all memberships of the org for each person.
_FIND_UNITS = """
CREATE TEMPORARY TABLE placed ON COMMIT DROP AS
SELECT member_id, array_agg(unit_id ORDER BY unit_id) AS unit_ids FROM unit_memberships
WHERE org_id = :org_id AND until IS NULL AND unit_id IS NOT NULL
  AND member_id IN (SELECT member_id FROM persons UNION SELECT member_id FROM candidates)
GROUP BY member_id
"""

# A person in one unit moves; one in several units keeps those that the sheet does not name, unless the sheet is to
# decide. `replace-unit` changes only the units that it replaces. The name of a verified person is not changed, nor the
# phone of an admin. OFFSET 0 makes PostgreSQL compute the columns of a step once, not at each use in the next one.
_DECIDE = """
CREATE TEMPORARY TABLE people ON COMMIT DROP AS
WITH known AS MATERIALIZED (
    SELECT p.*, c.member_id IS NOT NULL AS other_phone, c.only_one,
           m.id AS known_id, m.name AS known_name, m.user_id AS known_user, m.phone_index AS known_phone,
           m.version AS known_version,
           m.party AS known_party, m.probationary AS known_probationary, m.post AS known_post,
           coalesce(l.unit_ids, '{}') AS known_units
    FROM persons AS p
    LEFT JOIN (SELECT DISTINCT ON (person_key) * FROM candidates) AS c ON c.person_key = p.person_key
    LEFT JOIN members AS m ON m.org_id = :org_id
        AND m.id = coalesce(p.member_id, CASE WHEN c.only_one AND NOT coalesce(p.separate, false) THEN c.member_id END)
    LEFT JOIN placed AS l ON l.member_id = m.id
),
compared AS (
    SELECT k.*,
           known_id IS NOT NULL AND known_name IS DISTINCT FROM name AND name_key(known_name) <> name_key AS new_name,
           known_id IS NOT NULL AND phone_index IS DISTINCT FROM known_phone
               AND (phone_index IS NOT NULL OR no_phone) AS new_phone,
           CASE WHEN known_id IS NULL THEN unit_ids
                WHEN CAST(:mode AS text) = 'replace-unit' THEN ARRAY(
                    SELECT unnest(unit_ids) UNION
                    (SELECT unnest(known_units) EXCEPT SELECT unit_id FROM scope) ORDER BY 1)
                WHEN CAST(:units AS text) = 'replace' THEN
                    CASE WHEN unit_ids = '{}' AND NOT new_unit THEN known_units ELSE unit_ids END
                WHEN cardinality(known_units) > 1 OR unit_ids = '{}' AND NOT new_unit
                    THEN ARRAY(SELECT unnest(known_units) UNION SELECT unnest(unit_ids) ORDER BY 1)
                ELSE unit_ids END AS target_units
    FROM known AS k OFFSET 0
),
judged AS (
    SELECT c.*,
           CASE WHEN c.problem IS NOT NULL THEN c.problem
                WHEN CAST(:mode AS text) = 'replace-unit' AND (
                    EXISTS (SELECT unnest(c.unit_ids) EXCEPT SELECT unit_id FROM scope
                            EXCEPT SELECT unnest(c.known_units))
                    OR c.at_org AND NOT EXISTS (
                        SELECT FROM unit_memberships AS u WHERE u.org_id = :org_id AND u.member_id = c.known_id
                            AND u.unit_id IS NULL AND u.until IS NULL)) THEN 'unit-outside'
                WHEN c.new_phone AND (
                    EXISTS (SELECT FROM persons AS o
                            WHERE o.person_key = c.phone_index AND o.person_key <> c.person_key)
                    OR EXISTS (SELECT FROM identified AS o
                               WHERE o.phone_index = c.phone_index AND o.member_id <> c.known_id)
                    OR EXISTS (SELECT FROM members AS o WHERE o.org_id = :org_id AND o.phone_index = c.phone_index
                               AND o.removed_at IS NULL AND o.id <> c.known_id)) THEN 'phone-taken'
                WHEN c.new_phone AND (
                    EXISTS (SELECT FROM org_admins AS a WHERE a.org_id = :org_id AND a.user_id = c.known_user)
                    OR EXISTS (SELECT FROM users AS u JOIN org_admins AS a ON a.org_id = :org_id AND a.user_id = u.id
                               WHERE u.phone_index = c.known_phone)) THEN 'phone-of-admin'
                WHEN c.new_name AND (
                    EXISTS (SELECT FROM users AS u
                            WHERE u.id = c.known_user AND name_key(u.verified_name) <> c.name_key)
                    OR EXISTS (SELECT FROM users AS u JOIN org_admins AS a ON a.org_id = :org_id AND a.user_id = u.id
                               WHERE u.phone_index = c.known_phone AND name_key(u.verified_name) <> c.name_key)
                    ) THEN 'name-verified' END AS final_problem,
           CASE WHEN c.other_phone THEN 'person-has-other-phone' WHEN c.new_name THEN 'name-differs' END AS question
    FROM compared AS c OFFSET 0
)
SELECT person_key, rows, rows[1] AS first_row, name, party, probationary, post, at_org, new_unit, known_id,
       known_version, new_phone, phone_index, known_units, target_units AS unit_ids, final_problem AS problem,
       other_phone,
       CASE WHEN final_problem IS NULL THEN question END AS question,
       coalesce(CASE WHEN known_id IS NOT NULL THEN known_id END, new_member_id) AS member_id,
       CASE WHEN final_problem IS NOT NULL THEN 'refused'
            WHEN other_phone AND coalesce(separate, false) THEN 'added'
            WHEN other_phone AND NOT coalesce(only_one AND accepted, false) THEN 'undecided'
            WHEN new_name AND NOT coalesce(accepted, false) THEN 'undecided'
            WHEN known_id IS NULL THEN 'added'
            WHEN known_name <> name OR new_phone OR known_party <> party
                OR known_probationary <> (probationary AND coalesce(party, known_party))
                OR known_post IS DISTINCT FROM coalesce(post, known_post) THEN 'changed'
            WHEN new_unit OR target_units <> known_units OR at_org AND NOT EXISTS (
                SELECT FROM unit_memberships AS u WHERE u.org_id = :org_id AND u.member_id = known_id
                    AND u.unit_id IS NULL AND u.until IS NULL) THEN 'moved'
            ELSE 'unchanged' END AS outcome
FROM judged
"""


async def decide_people(db: AsyncConnection, plan: ImportPlan) -> None:
    """Create the tables up to `people`. The tables `staged` and `resolved` must exist."""
    await db.execute(text("DROP TABLE IF EXISTS identified, persons, candidates, placed, people"))
    await db.execute(text(_IDENTIFY), {"org_id": plan.org_id})
    for statement in ("CREATE INDEX ON identified (row_no)", "ANALYZE identified (row_no, member_id)", _IDENTIFY_ROWS):
        await db.execute(text(statement))
    await db.execute(text(_GROUP), {"org_id": plan.org_id})
    # The planner's statistics of the directory may be out of date. With these indexes every join order is fast.
    await db.execute(text("CREATE INDEX ON persons (person_key)"))
    await db.execute(text("ANALYZE persons (person_key, member_id)"))
    for statement in (_FIND_CANDIDATES, _FIND_UNITS):
        await db.execute(text(statement), {"org_id": plan.org_id})
    await db.execute(text("ANALYZE placed (member_id)"))
    await db.execute(text(_DECIDE), {"org_id": plan.org_id, "mode": plan.mode, "units": plan.units})
    for column in ("person_key", "member_id", "first_row"):
        await db.execute(text(f"CREATE INDEX ON people ({column})"))
    await db.execute(text("ANALYZE people (person_key, member_id, first_row, outcome, problem)"))
