# ruff: noqa: S608 — the SQL is built from constants only
"""Scheduled work on names: those stored before names had one stored form get it (`core.names`)."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import structlog
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.names import normalize_name
from app.core.search import Spelling, spell_person, spell_title
from app.core.sort_keys import make_sort_key
from app.database.retention import CleanUp, Schedule
from app.database.rows import fetch_rows

log = structlog.get_logger()

# The bookmark of a table is locked, so that two workers never read one slice. A table without a bookmark is finished.
# The tables come in the order in which their rows are locked (LOCKING.md).
_BOOKMARK = text("""
SELECT table_name, org_id, id FROM name_bookmarks
ORDER BY array_position('{orgs,units,members}', table_name) LIMIT 1 FOR UPDATE SKIP LOCKED
""")
_MOVE = text("UPDATE name_bookmarks SET org_id = :org_id, id = :id WHERE table_name = :table_name")
_FINISH = text("DELETE FROM name_bookmarks WHERE table_name = :table_name")


class _Bookmark(NamedTuple):
    table_name: str
    org_id: UUID
    id: UUID


class _Row(NamedTuple):
    org_id: UUID
    id: UUID
    name: str
    stale: bool
    """Whether the columns generated from the name are of an older version of the key."""


class _Form(NamedTuple):
    """The new values of a row. `old_name` is the name that was read."""

    org_id: UUID
    id: UUID
    old_name: str
    name: str
    pinyin: str
    initials: str
    sort_key: str


class _Table(NamedTuple):
    read: TextClause
    update: TextClause
    spell: Callable[[str], Spelling]


def _make_table(
    name: str, org_id: str, columns: Sequence[str], spell: Callable[[str], Spelling], *, stale: str, where: str = "true"
) -> _Table:
    # The key of a name of these characters alone is the name, and was so before.
    read = f"""
    SELECT t.{org_id} AS org_id, t.id, t.name, t.name ~ '[^\u4e00-\u9fff]' AND {stale} AS stale
    FROM {name} AS t WHERE (t.{org_id}, t.id) > (:org_id, :id) ORDER BY t.{org_id}, t.id LIMIT :limit
    """
    # The rows are locked in the order of LOCKING.md. A row that was renamed since it was read has its stored form.
    update = f"""
    WITH locked AS (
        SELECT g.* FROM unnest(
            CAST(:org_ids AS uuid[]), CAST(:ids AS uuid[]), CAST(:old_names AS text[]), CAST(:names AS text[]),
            CAST(:pinyins AS text[]), CAST(:all_initials AS text[]), CAST(:sort_keys AS text[])
        ) AS g (org_id, id, old_name, name, pinyin, initials, sort_key)
        JOIN {name} AS t ON t.{org_id} = g.org_id AND t.id = g.id AND t.name = g.old_name
        WHERE {where}
        ORDER BY g.org_id, g.id FOR NO KEY UPDATE OF t
    )
    UPDATE {name} AS t
    SET {", ".join(f"{column} = g.{column}" for column in columns)},
        version = t.version + CASE WHEN g.name = g.old_name THEN 0 ELSE 1 END
    FROM locked AS g WHERE t.{org_id} = g.org_id AND t.id = g.id
    """
    return _Table(text(read), text(update), spell)


# A sibling that has a number since two had one name (migration 0031) would lose the number with its spelling: it keeps
# both until an admin renames it. So does a row whose key would change, since a sibling can have that key.
_SAME_KEY = "name_key(g.name) = name_key(g.old_name)"
_NO_TWIN = """NOT EXISTS (
    SELECT FROM certifications AS c WHERE c.subordinate_id = t.id AND c.state = 'live' AND c.name_number > 0
)"""
_STALE = "t.name_grams <> name_grams(t.name)"
_SPELLED = ("name", "pinyin", "initials")
_TABLES: Mapping[str, _Table] = {
    "orgs": _make_table(
        "orgs", "id", (*_SPELLED, "sort_key"), spell_title, stale=_STALE, where=f"{_SAME_KEY} AND {_NO_TWIN}"
    ),
    "units": _make_table(
        "units", "org_id", ("name",), spell_title, stale="false", where=f"{_SAME_KEY} AND t.name_number = 0"
    ),
    "members": _make_table("members", "org_id", _SPELLED, spell_person, stale=_STALE),
}


async def normalize_stored_names(db: AsyncConnection, limit: int) -> int:
    """Give names their stored form, in slices of the primary keys from the bookmark of each table. Return the number of
    rows read: 0 when all tables are finished.

    Locks the bookmark of a table, then those rows of the slice that change, by org and id.
    """
    read = 0
    while read < limit and (found := await fetch_rows(db, _BOOKMARK, _Bookmark)):
        bookmark, wanted = found[0], limit - read
        table = _TABLES[bookmark.table_name]
        rows = await fetch_rows(db, table.read, _Row, {"org_id": bookmark.org_id, "id": bookmark.id, "limit": wanted})
        await _update_rows(db, bookmark.table_name, table, rows)
        if len(rows) < wanted:
            await db.execute(_FINISH, {"table_name": bookmark.table_name})
        else:
            moved = {"table_name": bookmark.table_name, "org_id": rows[-1].org_id, "id": rows[-1].id}
            await db.execute(_MOVE, moved)
        read += len(rows)
    return read


async def _update_rows(db: AsyncConnection, name: str, table: _Table, rows: Sequence[_Row]) -> None:
    """Update the rows whose name is not in its stored form or whose generated columns are stale. Write the numbers of
    rows, and no name, to the log."""
    forms: list[_Form] = []
    for row in rows:
        stored = normalize_name(row.name) or row.name
        if row.stale or stored != row.name:
            sort_key = make_sort_key(stored) if name == "orgs" else ""
            forms.append(_Form(row.org_id, row.id, row.name, stored, *table.spell(stored), sort_key))
    if not forms:
        return
    names = ("org_ids", "ids", "old_names", "names", "pinyins", "all_initials", "sort_keys")
    columns = zip(*forms, strict=True)
    updated = await db.execute(table.update, dict(zip(names, map(list, columns), strict=True)))
    log.info("names_normalized", table=name, updated=updated.rowcount, skipped=len(forms) - updated.rowcount)


CLEAN_UPS = (
    CleanUp(
        name="stored-names",
        deletes="nothing: it gives names of orgs, units and people from before names had one stored form that form",
        tables=("name_bookmarks",),
        after=timedelta(0),
        since="the release with migration 0043 runs",
        run=normalize_stored_names,
        schedule=Schedule.EVERY_TEN_MINUTES,
    ),
)
