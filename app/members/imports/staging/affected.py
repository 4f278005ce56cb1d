"""The table `affected`: the rows of a preview whose outcome an edited row can change.

Two rows can change each other's outcome if they have the same name or phone, or are about one person of the directory.
So `affected` has the rows that the edited row, as it was and as it is, reaches through names, phones and members of the
directory, however many steps away. The decision about these rows does not depend on any other row; what depends on all
rows, as units and counts, is decided from all of them.
"""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.rows import fetch_row
from app.members.imports.staging.plan import ImportPlan

MAX_AFFECTED_ROWS = 2000
MAX_STEPS = 20


class RowValues(NamedTuple):
    """The values of a row by which another row can depend on it."""

    name: str | None
    phone_index: bytes | None
    known_id: UUID | None
    unit_path: str | None


_ROW_VALUES = text("""
SELECT name, phone_index, known_id, unit_path FROM import_rows
WHERE org_id = :org_id AND import_id = :import_id AND row_no = :row_no
""")


async def get_row_values(db: AsyncConnection, plan: ImportPlan, row_no: int) -> RowValues:
    """Return the stored values of the row."""
    found = await fetch_row(db, _ROW_VALUES, RowValues, plan.parameters | {"row_no": row_no})
    assert found is not None, "the caller has read the row"
    return found


_CREATE = (
    """
CREATE TEMPORARY TABLE links ON COMMIT DROP AS
SELECT row_no, name_key(name) AS name_key, phone_index, known_id FROM import_rows
WHERE org_id = :org_id AND import_id = :import_id
""",
    "CREATE TEMPORARY TABLE affected (row_no integer PRIMARY KEY, step integer) ON COMMIT DROP",
    "CREATE TEMPORARY TABLE reached (name_key text, phone_index bytea, member_id uuid, step integer) ON COMMIT DROP",
)
_BEGIN = text("INSERT INTO reached VALUES (name_key(CAST(:name AS text)), :phone_index, CAST(:known_id AS uuid), 1)")
_ADD_ROWS = text("""
INSERT INTO affected
SELECT row_no, CAST(:step AS int) FROM links
WHERE name_key IN (SELECT name_key FROM reached WHERE step = :step AND name_key IS NOT NULL)
   OR phone_index IN (SELECT phone_index FROM reached WHERE step = :step AND phone_index IS NOT NULL)
   OR known_id IN (SELECT member_id FROM reached WHERE step = :step AND member_id IS NOT NULL)
ON CONFLICT DO NOTHING
""")
# Members are found by name with the index on `name_grams`.
_REACH = text("""
INSERT INTO reached
SELECT name_key, phone_index, member_id, CAST(:step AS int) + 1 FROM (
    SELECT l.name_key, l.phone_index, l.known_id AS member_id
    FROM affected AS a JOIN links AS l USING (row_no) WHERE a.step = :step
    UNION
    SELECT name_key(m.name), m.phone_index, m.id FROM reached AS r CROSS JOIN LATERAL (
        SELECT name, phone_index, id FROM members
        WHERE org_id = :org_id AND removed_at IS NULL AND phone_index = r.phone_index
        UNION ALL
        SELECT name, phone_index, id FROM members WHERE org_id = :org_id AND removed_at IS NULL AND id = r.member_id
        UNION ALL
        SELECT name, phone_index, id FROM members
        WHERE org_id = :org_id AND removed_at IS NULL AND name_grams @> name_grams(r.name_key)
            AND name_key(name) = r.name_key
    ) AS m WHERE r.step = :step
    EXCEPT
    SELECT name_key, phone_index, member_id FROM reached
) AS found
""")
_COUNT = text("SELECT count(*) FROM affected")

# A unit that the sheet spells in two ways, and the org does not have, has the name of the first spelling.
_SPELLED_OTHERWISE = text("""
SELECT EXISTS (
    SELECT FROM unit_parts AS u
    CROSS JOIN unnest(CAST(:units AS text[])) AS cell (path)
    CROSS JOIN LATERAL unnest(array_append(string_to_array(cell.path, ';'), cell.path)) AS part (path)
    WHERE NOT u.own AND u.path <> part.path
      AND right('/' || name_key(part.path), length(u.key) + 1) = '/' || u.key
)
""")


async def find_affected_rows(
    db: AsyncConnection, plan: ImportPlan, row_no: int, before: RowValues, after: RowValues
) -> bool:
    """Create `affected` after an edit of the row. Return False if there are so many rows that a full check is as
    fast."""
    for statement in _CREATE:
        await db.execute(text(statement), plan.parameters if ":org_id" in statement else {})
    await db.execute(text("INSERT INTO affected VALUES (:row_no, 0)"), {"row_no": row_no})
    for values in (before, after):
        given = {"name": values.name, "phone_index": values.phone_index, "known_id": values.known_id}
        await db.execute(_BEGIN, given)
    for step in range(1, MAX_STEPS):
        await db.execute(_ADD_ROWS, {"step": step})
        if (await db.execute(_COUNT)).scalar_one() > MAX_AFFECTED_ROWS:
            return False
        reached = await db.execute(_REACH, {"org_id": plan.org_id, "step": step})
        if not reached.rowcount:
            return True
    return False


async def is_spelled_otherwise(db: AsyncConnection, before: RowValues, after: RowValues) -> bool:
    """Return whether the sheet spells a unit of the row in another way too, so that the edit can change the name with
    which rows of others create it. The table `unit_parts` must exist."""
    units = [unit for unit in (before.unit_path, after.unit_path) if unit is not None]
    return before.unit_path != after.unit_path and bool(await db.scalar(_SPELLED_OTHERWISE, {"units": units}))
