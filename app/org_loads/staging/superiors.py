"""The superior of each row of `loading`, and its level.

A row names its superior by the number of another row, by a path or a name of another row, by the id of an org, or by a
name or path of an org; the first that exists counts. Each statement compares groups of equal keys, so that the work
grows with the number of rows, whatever their names are.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.org_loads.row_problems import MAX_LEVELS

# Rows with one number: none of them is the row of that number.
_REFUSE_DOUBLED_NUMBERS = text("""
UPDATE loading AS s SET problems = s.problems || '{number-doubled}', related_rows = array_remove(g.rows, s.row_no)
FROM (
    SELECT number, (array_agg(row_no ORDER BY row_no))[1:20] AS rows FROM loading WHERE number IS NOT NULL
    GROUP BY number HAVING count(*) > 1
) AS g
WHERE s.number = g.number
""")
_FIND_ROWS = text("""
WITH numbers AS (
    SELECT number AS key, count(*) AS rows, min(row_no) AS row_no FROM loading WHERE number IS NOT NULL GROUP BY number
), paths AS (
    SELECT path_key AS key, count(*) AS rows, min(row_no) AS row_no FROM loading WHERE path_key IS NOT NULL
    GROUP BY path_key
), names AS (
    SELECT name_key AS key, count(*) AS rows, min(row_no) AS row_no FROM loading WHERE name_key IS NOT NULL
    GROUP BY name_key
), found AS (
    SELECT s.row_no, CASE WHEN n.key IS NOT NULL THEN n.rows WHEN p.key IS NOT NULL THEN p.rows ELSE m.rows END AS rows,
           coalesce(n.row_no, p.row_no, m.row_no) AS superior_row
    FROM loading AS s
    LEFT JOIN numbers AS n ON n.key = s.superior
    LEFT JOIN paths AS p ON p.key = s.superior_key
    LEFT JOIN names AS m ON m.key = s.superior_key
    WHERE s.superior <> '' AND (n.key IS NOT NULL OR p.key IS NOT NULL OR m.key IS NOT NULL)
)
UPDATE loading AS s
SET superior_row = CASE WHEN f.rows = 1 THEN f.superior_row END,
    problems = CASE WHEN f.rows > 1 THEN s.problems || '{superior-ambiguous}' ELSE s.problems END
FROM found AS f WHERE f.row_no = s.row_no
""")
_FIND_ORGS_BY_ID = text("""
UPDATE loading AS s SET superior_id = o.id FROM orgs AS o
WHERE s.superior_row IS NULL AND o.id = s.superior_uuid AND o.status = 'live'
""")

# The texts that name no row, and the orgs that they can mean.
_CREATE_WANTED = text("""
CREATE TEMPORARY TABLE wanted ON COMMIT DROP AS
SELECT DISTINCT superior_key, superior_keys, cardinality(superior_keys) AS length FROM loading
WHERE superior_key IS NOT NULL AND superior_row IS NULL AND superior_id IS NULL
    AND NOT 'superior-ambiguous' = ANY (problems)
""")
_COUNT_WANTED = text("SELECT coalesce(max(length), 0) FROM wanted")
_CREATE_NAMES = text("""
CREATE TEMPORARY TABLE org_names ON COMMIT DROP AS
SELECT o.id, name_key(o.name) AS key, c.superior_id FROM orgs AS o
LEFT JOIN certifications AS c ON c.subordinate_id = o.id AND c.state = 'live'
WHERE o.status = 'live'
""")
_CREATE_CANDIDATES = text("""
CREATE TEMPORARY TABLE candidates ON COMMIT DROP AS
SELECT w.superior_key, w.superior_keys, w.length, o.id, NULL::uuid AS above_id
FROM wanted AS w JOIN org_names AS o ON o.key = w.superior_key
UNION ALL
SELECT w.superior_key, w.superior_keys, w.length, o.id, p.superior_id
FROM wanted AS w
JOIN org_names AS o ON o.key = w.superior_keys[w.length]
JOIN org_names AS p ON p.id = o.superior_id AND p.key = w.superior_keys[w.length - 1]
WHERE w.length > 1
""")
# A path of more than two names: the names above must agree too.
_DROP_OTHER_PATHS = text("""
DELETE FROM candidates AS c WHERE c.length > :depth AND NOT EXISTS (
    SELECT FROM org_names AS o WHERE o.id = c.above_id AND o.key = c.superior_keys[c.length - :depth]
)
""")
_GO_UP = text("""
UPDATE candidates AS c SET above_id = o.superior_id FROM org_names AS o WHERE o.id = c.above_id AND c.length > :depth
""")
_FIND_ORGS_BY_NAME = text("""
UPDATE loading AS s
SET superior_id = CASE WHEN f.orgs = 1 THEN f.id END,
    problems = CASE WHEN f.orgs > 1 THEN s.problems || '{superior-ambiguous}' ELSE s.problems END
FROM (
    SELECT superior_key, count(DISTINCT id) AS orgs, min(id::text)::uuid AS id FROM candidates GROUP BY superior_key
) AS f
WHERE f.superior_key = s.superior_key AND s.superior_row IS NULL AND s.superior_id IS NULL
    AND NOT 'superior-ambiguous' = ANY (s.problems)
""")
_REFUSE_UNKNOWN = text("""
UPDATE loading SET problems = problems || '{superior-unknown}'
WHERE superior <> '' AND superior_row IS NULL AND superior_id IS NULL AND NOT 'superior-ambiguous' = ANY (problems)
""")

_START_LEVELS = text("UPDATE loading SET level = 0 WHERE superior_row IS NULL")
_NEXT_LEVEL = text("""
UPDATE loading AS s SET level = :level FROM loading AS p
WHERE p.level = :level - 1 AND s.superior_row = p.row_no AND s.level IS NULL
""")
_REFUSE_CIRCLES = text("UPDATE loading SET problems = problems || '{superior-circle}' WHERE level IS NULL")


async def resolve_superiors(db: AsyncConnection) -> None:
    """Set `superior_row`, `superior_id` and `level` of each row of `loading`, or add the problem why there is none."""
    await db.execute(_REFUSE_DOUBLED_NUMBERS)
    await db.execute(_FIND_ROWS)
    await db.execute(_FIND_ORGS_BY_ID)
    await db.execute(_CREATE_WANTED)
    longest = (await db.execute(_COUNT_WANTED)).scalar_one()
    if longest:
        await _find_orgs_by_name(db, min(longest, MAX_LEVELS))
    await db.execute(_REFUSE_UNKNOWN)
    await db.execute(text("ANALYZE loading"))
    await db.execute(_START_LEVELS)
    for level in range(1, MAX_LEVELS):
        if not (await db.execute(_NEXT_LEVEL, {"level": level})).rowcount:
            break
    await db.execute(_REFUSE_CIRCLES)
    await db.execute(text("ANALYZE loading"))


async def _find_orgs_by_name(db: AsyncConnection, longest: int) -> None:
    await db.execute(_CREATE_NAMES)
    await db.execute(text("CREATE INDEX ON org_names (id)"))
    for table in ("org_names", "wanted"):
        await db.execute(text(f"ANALYZE {table}"))
    await db.execute(_CREATE_CANDIDATES)
    for depth in range(2, longest):
        await db.execute(_DROP_OTHER_PATHS, {"depth": depth})
        await db.execute(_GO_UP, {"depth": depth})
    await db.execute(_FIND_ORGS_BY_NAME)
