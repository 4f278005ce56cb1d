# ruff: noqa: S608 — the SQL is built from constants only
"""The tables `paths` and `resolved`: the units that a sheet names, and those that the import creates."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Column, MetaData, Table, Text, Uuid, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.hierarchy import tree

MAX_NEW_UNITS = 1000

# The temporary table of the current transaction.
_PATHS = Table("paths", MetaData(), Column("unit_id", Uuid), Column("path", Text), Column("key", Text))

_RESOLVE_UNITS = """
CREATE TEMPORARY TABLE resolved ON COMMIT DROP AS
SELECT given.unit_path, given.key,
       coalesce(by_path.unit_id, by_name.unit_id) AS unit_id,
       CASE WHEN coalesce(by_path.unit_id, by_name.unit_id) IS NOT NULL THEN NULL
            WHEN by_name.ambiguous THEN 'unit-ambiguous'
            WHEN given.unit_path ~ '(^|[/;])[-=+@＝＋－＠]' THEN 'unit-formula'
            WHEN NOT CAST(:create_units AS boolean) THEN 'unit-unknown' END AS problem
FROM (
    SELECT unit_path, name_key(unit_path) AS key FROM staged WHERE unit_path IS NOT NULL GROUP BY unit_path
) AS given
-- Two paths with one key are an older pair of siblings, or a slash of full width in a name.
LEFT JOIN LATERAL (
    SELECT unit_id FROM paths WHERE paths.key = given.key ORDER BY path <> given.unit_path, unit_id LIMIT 1
) AS by_path ON true
-- A name without its path is enough if only one unit of the org has that name.
LEFT JOIN (
    SELECT regexp_replace(key, '^.*/', '') AS name, count(*) > 1 AS ambiguous,
           CASE WHEN count(*) = 1 THEN (array_agg(unit_id))[1] END AS unit_id
    FROM paths GROUP BY 1
) AS by_name ON by_name.name = given.key AND by_path.unit_id IS NULL
"""


async def resolve_units(db: AsyncConnection, org_id: UUID, *, create_units: bool) -> None:
    """Create `paths` and `resolved`: find each path of `staged` among the org's current units.

    With `create_units` an unknown path is not a problem.
    """
    for statement in (
        "DROP TABLE IF EXISTS paths, resolved",
        "CREATE TEMPORARY TABLE paths (unit_id uuid, path text, key text) ON COMMIT DROP",
    ):
        await db.execute(text(statement))
    walk = tree.build_unit_paths(org_id)
    found = select(walk.c.id, walk.c.path, func.name_key(walk.c.path))
    await db.execute(insert(_PATHS).from_select(["unit_id", "path", "key"], found))
    await db.execute(text("CREATE INDEX ON paths (key)"))
    await db.execute(text(_RESOLVE_UNITS), {"create_units": create_units})


# The missing units on the way to the people of the sheet, each with its depth, in the order in which the sheet first
# names them. Units with one key are one unit, spelled as the sheet spells it first. The parent is an existing unit, or
# a missing one that comes before.
MISSING_UNITS = """
SELECT DISTINCT ON (part.key) array_to_string(w.names[1 : depth], '/') AS path, part.key,
       array_to_string(w.keys[1 : depth - 1], '/') AS parent_key,
       w.names[depth] AS name, depth, w.row_no
FROM (
    SELECT string_to_array(r.unit_path, '/') AS names, string_to_array(r.key, '/') AS keys, min(s.row_no) AS row_no
    FROM resolved AS r JOIN staged AS s ON s.unit_path = r.unit_path JOIN people AS p ON p.person_key = s.person_key
    WHERE r.unit_id IS NULL AND r.problem IS NULL AND p.problem IS NULL
    GROUP BY r.unit_path, r.key
) AS w
CROSS JOIN LATERAL generate_series(1, cardinality(w.names)) AS depth
CROSS JOIN LATERAL (SELECT array_to_string(w.keys[1 : depth], '/') AS key) AS part
WHERE NOT EXISTS (SELECT FROM paths WHERE paths.key = part.key)
ORDER BY part.key, w.row_no
"""

_NEW_UNITS = f"SELECT path FROM ({MISSING_UNITS}) AS missing ORDER BY row_no, depth LIMIT :max_paths"


async def list_new_units(db: AsyncConnection) -> list[str]:
    """Return the paths of all units that the import creates, in the order of the sheet and each after its parent, at
    most MAX_NEW_UNITS + 1."""
    paths: Sequence[str] = (await db.scalars(text(_NEW_UNITS), {"max_paths": MAX_NEW_UNITS + 1})).all()
    return list(paths)
