"""The tables `paths`, `scope`, `unit_parts` and `resolved`: the units that a sheet names, and those that the import
creates."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, MetaData, Table, Text, Uuid, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.hierarchy import tree
from app.members.imports.staging.plan import ImportPlan

MAX_NEW_UNITS = 1000

# The temporary tables of the current transaction.
_PATHS = Table("paths", MetaData(), Column("unit_id", Uuid), Column("path", Text), Column("key", Text))
_SCOPE = Table("scope", MetaData(), Column("unit_id", Uuid))

# A cell names one unit, or several with `;` between them, as an export has them. `own_id` is the unit that the org has
# by this path, or by an end of it that only one unit has. Where there is none, the admin's choice decides, or else the
# option of the import.
_RESOLVE_PARTS = """
CREATE TEMPORARY TABLE unit_parts ON COMMIT DROP AS
WITH cells AS (
    SELECT unit_path, min(row_no) AS first_row, count(*) AS rows
    FROM import_rows WHERE org_id = :org_id AND import_id = :import_id AND unit_path IS NOT NULL
    GROUP BY unit_path
), org AS (
    SELECT name, name_key(name) AS key, name_key(name) || '/' AS prefix FROM orgs WHERE id = :org_id
), named AS (
    SELECT c.unit_path, c.first_row, c.rows, part.path, name_key(part.path) AS key
    FROM cells AS c CROSS JOIN LATERAL unnest(
        CASE WHEN EXISTS (SELECT FROM paths WHERE paths.key = name_key(c.unit_path)) THEN ARRAY[c.unit_path]
             ELSE string_to_array(c.unit_path, ';') END
    ) AS part (path)
), parts AS (
    -- A path may begin with the org itself.
    SELECT n.unit_path, n.first_row, n.rows,
           CASE WHEN below.org THEN substr(n.path, strpos(n.path, '/') + 1) ELSE n.path END AS path,
           CASE WHEN below.org THEN substr(n.key, length(org.prefix) + 1) ELSE n.key END AS key
    FROM named AS n CROSS JOIN org CROSS JOIN LATERAL (
        SELECT starts_with(n.key, org.prefix) AND strpos(org.name, '/') = 0
            AND NOT EXISTS (SELECT FROM paths WHERE paths.key = org.key) AS org
    ) AS below
), ends AS (
    SELECT parts.key, count(DISTINCT paths.unit_id) AS units, (array_agg(paths.unit_id))[1] AS unit_id
    FROM (SELECT DISTINCT key FROM parts) AS parts
    JOIN paths ON paths.last_key = regexp_replace(parts.key, '^.*/', '')
        AND right('/' || paths.key, length(parts.key) + 1) = '/' || parts.key
    GROUP BY parts.key
), found AS (
    SELECT parts.*, coalesce(by_path.unit_id, CASE WHEN ends.units = 1 THEN ends.unit_id END) AS own_id,
           by_path.unit_id IS NULL AND ends.units > 1 AS ambiguous,
           by_path.unit_id IS NULL AND parts.key IN (name_key('管理组'), name_key('学习管理组'),
               name_key('Management group'), org.key, name_key(org.name || '学习管理组')) AS at_org
    FROM parts CROSS JOIN org
    -- Two paths with one key are an older pair of siblings, or a slash of full width in a name.
    LEFT JOIN LATERAL (
        SELECT unit_id FROM paths WHERE paths.key = parts.key ORDER BY path <> parts.path, unit_id LIMIT 1
    ) AS by_path ON true
    LEFT JOIN ends ON ends.key = parts.key
), chosen AS (
    SELECT f.*, c.choice, coalesce(f.own_id, CASE WHEN NOT f.at_org THEN p.unit_id END) AS unit_id
    FROM found AS f
    LEFT JOIN import_units AS c ON c.org_id = :org_id AND c.import_id = :import_id AND c.key = f.key
    LEFT JOIN paths AS p ON p.unit_id = c.unit_id
)
SELECT c.unit_path, c.path, c.key, c.first_row, c.rows, c.unit_id, c.at_org, c.own_id IS NOT NULL AS own,
       min(c.path) OVER (PARTITION BY c.key) AS new_path,
       CAST(:scope AS text) IS NOT NULL AND (c.at_org OR c.unit_id IS NOT NULL
           AND NOT EXISTS (SELECT FROM scope WHERE scope.unit_id = c.unit_id)) AS elsewhere,
       CASE WHEN c.at_org AND CAST(:scope AS text) IS NULL THEN NULL
            WHEN c.unit_id IS NOT NULL AND (CAST(:scope AS text) IS NULL
                OR EXISTS (SELECT FROM scope WHERE scope.unit_id = c.unit_id)) THEN NULL
            WHEN CAST(:scope AS text) IS NOT NULL AND (c.unit_id IS NOT NULL OR c.at_org) THEN 'unit-outside'
            WHEN c.path ~ '(^|/)[-=+@＝＋－＠]' AND c.choice IS DISTINCT FROM 'skip' THEN 'unit-formula'
            WHEN c.choice = 'skip' THEN 'unit-skipped'
            WHEN c.ambiguous AND c.choice IS DISTINCT FROM 'create' THEN 'unit-ambiguous'
            WHEN c.choice IS DISTINCT FROM 'create' AND NOT CAST(:create_units AS boolean) THEN 'unit-unknown'
            WHEN CAST(:scope AS text) IS NOT NULL AND NOT starts_with(c.key, CAST(:scope AS text) || '/')
                THEN 'unit-outside' END AS problem
FROM chosen AS c
"""
# With `replace-unit`, a cell can name places elsewhere beside a unit that is replaced: the person must be there already
# (`people`).
_RESOLVE_CELLS = """
CREATE TEMPORARY TABLE resolved ON COMMIT DROP AS
SELECT unit_path,
       CASE WHEN bool_or(problem IS NULL) THEN min(problem) FILTER (WHERE NOT elsewhere)
            ELSE min(problem) END AS problem, bool_or(at_org) AS at_org,
       coalesce(array_agg(DISTINCT unit_id) FILTER (WHERE unit_id IS NOT NULL), '{}') AS unit_ids,
       coalesce(array_agg(DISTINCT new_path) FILTER (WHERE unit_id IS NULL AND NOT at_org), '{}') AS new_paths,
       string_agg(DISTINCT coalesce(unit_id::text, key), ';') AS place
FROM unit_parts GROUP BY unit_path
"""


async def resolve_units(db: AsyncConnection, plan: ImportPlan) -> None:
    """Create `paths`, `scope`, `unit_parts` and `resolved`: find each unit of `staged` among the org's current units.

    With the option to create units an unknown path is not a problem.
    """
    for statement in (
        "DROP TABLE IF EXISTS paths, scope, unit_parts, resolved",
        "CREATE TEMPORARY TABLE paths (unit_id uuid, path text, key text, last_key text"
        " GENERATED ALWAYS AS (regexp_replace(key, '^.*/', '')) STORED) ON COMMIT DROP",
        "CREATE TEMPORARY TABLE scope (unit_id uuid) ON COMMIT DROP",
    ):
        await db.execute(text(statement))
    walk = tree.build_unit_paths(plan.org_id)
    found = select(walk.c.id, walk.c.path, func.name_key(walk.c.path))
    await db.execute(insert(_PATHS).from_select(["unit_id", "path", "key"], found))
    await db.execute(text("CREATE INDEX ON paths (key)"))
    await db.execute(text("CREATE INDEX ON paths (last_key)"))
    scope: str | None = None
    if plan.unit_id is not None:
        subtree = tree.build_unit_subtree(plan.org_id, plan.unit_id)
        live = select(subtree.c.id).join(_PATHS, _PATHS.c.unit_id == subtree.c.id)
        await db.execute(insert(_SCOPE).from_select(["unit_id"], live))
        scope = await db.scalar(select(_PATHS.c.key).where(_PATHS.c.unit_id == plan.unit_id)) or ""
    options = {"create_units": plan.creates_units, "scope": scope}
    await db.execute(text(_RESOLVE_PARTS), plan.parameters | options)
    await db.execute(text(_RESOLVE_CELLS))
    await db.execute(text("ANALYZE unit_parts, resolved"))


# The units that the org does not have, for the admin to choose. A choice remains until the sheet no longer names it.
_STORE_UNKNOWN_UNITS = text("""
WITH named AS (
    SELECT key, min(path) AS path, sum(rows) AS rows, min(first_row) AS first_row FROM unit_parts
    WHERE NOT own AND NOT at_org GROUP BY key
), gone AS (
    DELETE FROM import_units WHERE org_id = :org_id AND import_id = :import_id AND key NOT IN (SELECT key FROM named)
)
INSERT INTO import_units AS u (org_id, import_id, key, path, rows, first_row)
SELECT :org_id, :import_id, key, path, rows, first_row FROM named ORDER BY key
ON CONFLICT (org_id, import_id, key) DO UPDATE SET rows = excluded.rows, first_row = excluded.first_row
WHERE (u.rows, u.first_row) IS DISTINCT FROM (excluded.rows, excluded.first_row)
""")


async def store_unknown_units(db: AsyncConnection, plan: ImportPlan) -> None:
    """Store the units of the sheet that the org does not have in `import_units`, with the number of their rows."""
    await db.execute(_STORE_UNKNOWN_UNITS, plan.parameters)


# The missing units on the way to the people of the sheet, each with its depth, in the order in which the sheet first
# names them. Units with one key are one unit, spelled as the sheet spells it first. The parent is an existing unit, or
# a missing one that comes before.
_MISSING_UNITS = """
SELECT DISTINCT ON (part.key) array_to_string(w.names[1 : depth], '/') AS path, part.key,
       array_to_string(w.keys[1 : depth - 1], '/') AS parent_key,
       w.names[depth] AS name, depth, w.row_no
FROM (
    SELECT string_to_array(u.path, '/') AS names, string_to_array(u.key, '/') AS keys, min(s.row_no) AS row_no
    FROM unit_parts AS u JOIN resolved AS r USING (unit_path) JOIN ({rows}) AS s USING (unit_path)
    WHERE u.unit_id IS NULL AND NOT u.at_org AND r.problem IS NULL AND s.outcome <> 'refused'
      AND (CAST(:with_undecided AS boolean) OR s.outcome <> 'undecided')
    GROUP BY u.path, u.key
) AS w
CROSS JOIN LATERAL generate_series(1, cardinality(w.names)) AS depth
CROSS JOIN LATERAL (SELECT array_to_string(w.keys[1 : depth], '/') AS key) AS part
WHERE NOT EXISTS (SELECT FROM paths WHERE paths.key = part.key)
ORDER BY part.key, w.row_no
"""
MISSING_UNITS = _MISSING_UNITS.format(
    rows="SELECT s.unit_path, s.row_no, p.outcome FROM staged AS s JOIN people AS p ON p.person_key = s.person_key"
)
_MISSING_OF_STORED = _MISSING_UNITS.format(
    rows="SELECT unit_path, row_no, outcome FROM import_rows WHERE org_id = :org_id AND import_id = :import_id"
)

_LIST = "SELECT path FROM ({missing}) AS missing ORDER BY row_no, depth LIMIT :max_paths"
_NEW_UNITS = text(_LIST.format(missing=MISSING_UNITS))
_NEW_UNITS_OF_STORED = text(_LIST.format(missing=_MISSING_OF_STORED))


async def list_new_units(db: AsyncConnection, *, with_undecided: bool, stored: ImportPlan | None = None) -> list[str]:
    """Return the paths of all units that the import creates, in the order of the sheet and each after its parent, at
    most MAX_NEW_UNITS + 1. `with_undecided`: also those of rows that wait for a decision. With `stored`, the import's
    stored outcomes count, and not those of `people`."""
    given: dict[str, Any] = {"max_paths": MAX_NEW_UNITS + 1, "with_undecided": with_undecided}
    statement = _NEW_UNITS
    if stored is not None:
        statement, given = _NEW_UNITS_OF_STORED, given | stored.parameters
    paths: Sequence[str] = (await db.scalars(statement, given)).all()
    return list(paths)
