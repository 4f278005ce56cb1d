# ruff: noqa: S608 — the SQL is built from constants only
"""The outcome of each row of `loading`: create, present, or refused with its problems."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.org_loads.row_problems import MAX_LEVELS

# What these statements add is taken away first, since a load that is confirmed is decided a second time.
_RESET = text("""
UPDATE loading
SET problems = array(SELECT p FROM unnest(problems) WITH ORDINALITY AS u (p, n)
                     WHERE p <> ALL ('{superior-gone,sibling-doubled,superior-refused}') ORDER BY n),
    related_rows = CASE WHEN 'number-doubled' = ANY (problems) THEN related_rows ELSE '{}' END,
    superior_id = CASE WHEN superior_row IS NULL THEN superior_id END,
    present_id = NULL
WHERE outcome IS NOT NULL
""")
_REFUSE_GONE = text("""
UPDATE loading AS s SET problems = problems || '{superior-gone}'
WHERE superior_id IS NOT NULL AND NOT EXISTS (SELECT FROM orgs AS o WHERE o.id = s.superior_id AND o.status = 'live')
""")
# An org is there already if its superior has a subordinate of its name; at the top, if its region has an org of its
# name without a superior.
_FIND_TOP = text("""
UPDATE loading AS s SET present_id = f.id
FROM (
    SELECT s.row_no, min(o.id::text)::uuid AS id FROM loading AS s
    JOIN orgs AS o ON o.region_code = s.region_code AND name_key(o.name) = s.name_key AND o.status = 'live'
    WHERE s.superior = '' AND s.name_key IS NOT NULL
        AND NOT EXISTS (SELECT FROM certifications AS c WHERE c.subordinate_id = o.id AND c.state = 'live')
    GROUP BY s.row_no
) AS f
WHERE f.row_no = s.row_no
""")
_TAKE_SUPERIORS = text("""
UPDATE loading AS s SET superior_id = p.present_id FROM loading AS p
WHERE s.level = :level AND p.row_no = s.superior_row AND p.present_id IS NOT NULL
""")
_FIND_SUBORDINATES = text("""
UPDATE loading AS s SET present_id = c.subordinate_id FROM certifications AS c
WHERE s.level = :level AND c.superior_id = s.superior_id AND name_key(c.subordinate_name) = s.name_key
    AND c.state = 'live'
""")
_REFUSE_DOUBLED = text("""
WITH named AS (
    SELECT row_no, name_key, coalesce(superior_id::text, 'row ' || superior_row, 'region ' || region_code) AS place
    FROM loading WHERE problems = '{}'
), doubled AS (
    SELECT place, name_key, (array_agg(row_no ORDER BY row_no))[1:20] AS rows FROM named
    GROUP BY place, name_key HAVING count(*) > 1
)
UPDATE loading AS s SET problems = '{sibling-doubled}', related_rows = array_remove(d.rows, s.row_no)
FROM named AS n JOIN doubled AS d USING (place, name_key)
WHERE s.row_no = n.row_no
""")
_REFUSE_UNDER_REFUSED = text("""
UPDATE loading AS s SET problems = '{superior-refused}', related_rows = ARRAY[p.row_no] FROM loading AS p
WHERE s.level = :level AND p.row_no = s.superior_row AND p.problems <> '{}' AND s.problems = '{}'
""")
_LEVEL_OF_REGION = """
CASE WHEN length({0}) > 6 THEN 4 WHEN {0} = '000000' THEN 0 WHEN right({0}, 4) = '0000' THEN 1
     WHEN right({0}, 2) = '00' THEN 2 ELSE 3 END
"""
_DECIDE = text(f"""
WITH above AS (
    SELECT s.row_no, coalesce(o.kind, p.kind) AS kind, coalesce(o.region_code, p.region_code) AS region_code
    FROM loading AS s
    LEFT JOIN orgs AS o ON o.id = s.superior_id
    LEFT JOIN loading AS p ON p.row_no = s.superior_row
)
UPDATE loading AS s
SET outcome = CASE WHEN s.problems <> '{{}}' THEN 'refused' WHEN s.present_id IS NULL THEN 'create' ELSE 'present' END,
    warnings = CASE WHEN 'row-hidden' = ANY (s.warnings) THEN '{{row-hidden}}'::text[] ELSE '{{}}' END || array_remove(
        CASE WHEN s.problems <> '{{}}' THEN '{{}}'
             WHEN s.present_id IS NOT NULL THEN ARRAY[CASE WHEN EXISTS (
                 SELECT FROM orgs AS o WHERE o.id = s.present_id
                     AND (o.kind, o.region_code) <> (s.kind, s.region_code)
             ) THEN 'present-differs' END]
             ELSE ARRAY[
                 CASE WHEN s.admin_name IS NULL THEN 'admin-missing' END,
                 CASE WHEN EXISTS (
                     SELECT FROM orgs AS o WHERE o.region_code = s.region_code AND name_key(o.name) = s.name_key
                         AND o.status = 'live'
                 ) THEN 'name-exists' END,
                 CASE WHEN {_LEVEL_OF_REGION.format("a.region_code")} > {_LEVEL_OF_REGION.format("s.region_code")}
                      THEN 'superior-lower' END,
                 CASE WHEN a.kind = 'outside-party' AND s.kind = 'party' THEN 'superior-outside-party' END
             ] END, NULL)
FROM above AS a WHERE a.row_no = s.row_no
""")


async def decide_outcomes(db: AsyncConnection) -> None:
    """Set `present_id`, `problems`, `warnings`, `related_rows` and `outcome` of each row of `loading`."""
    highest = (await db.execute(text("SELECT coalesce(max(level), 0) FROM loading"))).scalar_one()
    levels = [{"level": level} for level in range(1, min(highest, MAX_LEVELS) + 1)]
    await db.execute(_RESET)
    await db.execute(_REFUSE_GONE)
    await db.execute(_FIND_TOP)
    await db.execute(_FIND_SUBORDINATES, {"level": 0})
    for level in levels:
        await db.execute(_TAKE_SUPERIORS, level)
        await db.execute(_FIND_SUBORDINATES, level)
    await db.execute(_REFUSE_DOUBLED)
    for level in levels:
        await db.execute(_REFUSE_UNDER_REFUSED, level)
    await db.execute(_DECIDE)


class OutcomeCounts(NamedTuple):
    """The counts of a load, named as its columns."""

    rows_total: int
    to_create: int
    present: int
    refused: int


_COUNT = text("""
SELECT count(*) AS rows_total,
       count(*) FILTER (WHERE outcome = 'create') AS to_create,
       count(*) FILTER (WHERE outcome = 'present') AS present,
       count(*) FILTER (WHERE outcome = 'refused') AS refused
FROM loading
""")
_COLUMNS = """row_no, new_id, offer_id, number, name, pinyin, initials, sort_key, kind, region_code, superior,
    admin_name, phone_cipher, cells_cipher, level, superior_row, superior_id, present_id, outcome,
    problems, warnings, related_rows"""
_STORE = text(f"INSERT INTO org_load_rows (load_id, {_COLUMNS}) SELECT :load_id, {_COLUMNS} FROM loading")
_UPDATE_STORED = text("""
UPDATE org_load_rows AS r
SET outcome = s.outcome, problems = s.problems, related_rows = s.related_rows, superior_id = s.superior_id,
    present_id = s.present_id, warnings = s.warnings
FROM loading AS s
WHERE r.load_id = :load_id AND r.row_no = s.row_no
    AND (r.outcome, r.problems, r.superior_id, r.present_id)
        IS DISTINCT FROM (s.outcome, s.problems, s.superior_id, s.present_id)
""")


async def count_outcomes(db: AsyncConnection) -> OutcomeCounts:
    """Return the counts of the outcomes."""
    return OutcomeCounts(*(await db.execute(_COUNT)).one())


async def store_rows(db: AsyncConnection, load_id: UUID) -> None:
    """Store the rows of `loading` and their outcomes in `org_load_rows`."""
    await db.execute(_STORE, {"load_id": load_id})


async def update_stored_rows(db: AsyncConnection, load_id: UUID) -> int:
    """Update the stored rows whose outcome has changed since the preview. Return their number."""
    return (await db.execute(_UPDATE_STORED, {"load_id": load_id})).rowcount
