"""The rows of a sheet: stored in `import_rows`, and the table `staged` that is made of them."""

import asyncio
from collections.abc import AsyncIterable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Integer, LargeBinary, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from app.blind_index.keys import BlindIndexer
from app.database.rows import fetch_rows
from app.members.imports.row_problems import SHEET_CODES
from app.members.imports.rows import StagedRow
from app.members.imports.staging.plan import ImportPlan

# COPY leaves these out where no row of the batch has a value: their defaults are the same.
_MOSTLY_EMPTY = frozenset(
    ("masked_phone", "known_id", "party", "probationary", "post", "cells_cipher", "problems", "warnings")
)

_FORGET_ROWS = text("DELETE FROM import_rows WHERE org_id = :org_id AND import_id = :import_id")


async def store_rows(db: AsyncConnection, plan: ImportPlan, batches: AsyncIterable[Sequence[StagedRow]]) -> None:
    """Write the batches into `import_rows` with COPY, in place of stored ones. Their outcomes are not decided yet."""
    await db.execute(_FORGET_ROWS, plan.parameters)
    driver: Any = (await db.get_raw_connection()).driver_connection
    async for batch in batches:
        columns = _list_columns(batch)
        get_values = attrgetter(*columns)
        records = [(plan.org_id, plan.id, *get_values(row)) for row in batch]
        await driver.copy_records_to_table("import_rows", records=records, columns=("org_id", "import_id", *columns))


def _list_columns(batch: Sequence[StagedRow]) -> list[str]:
    return [
        name
        for number, name in enumerate(StagedRow._fields)
        if name not in _MOSTLY_EMPTY or any(row[number] is not None and row[number] != [] for row in batch)
    ]


# The problems and warnings that the sheet as a whole causes are decided again each time.
_CREATE_STAGED = """
CREATE TEMPORARY TABLE staged ON COMMIT DROP AS
SELECT row_no, new_member_id, name, name_key(name) AS name_key, pinyin, phone_index, phone_last4_index,
       masked_phone IS NOT NULL AS masked, known_id, unit_path, party, probationary, post,
       cells_cipher IS NOT NULL AS refused, outcome AS shown_outcome, member_id AS shown_member_id,
       problems = '{}' AND warnings = '{}' AND related_rows = '{}' AS shown_plain, decision, phone_index AS person_key,
       CASE WHEN cells_cipher IS NULL THEN '{}'
            ELSE ARRAY(SELECT code FROM unnest(problems) AS code WHERE code <> ALL (:of_sheet)) END AS problems,
       CASE WHEN warnings = '{}' THEN '{}'
            ELSE ARRAY(SELECT code FROM unnest(warnings) AS code WHERE code <> ALL (:of_sheet)) END AS warnings
FROM import_rows WHERE org_id = :org_id AND import_id = :import_id
"""
_OF_SHEET = bindparam("of_sheet", type_=ARRAY(Text))
_STAGE_ALL = text(_CREATE_STAGED).bindparams(_OF_SHEET)
_OF_AFFECTED = "AND row_no IN (SELECT row_no FROM affected)"
_STAGE_AFFECTED = text(f"{_CREATE_STAGED} {_OF_AFFECTED}").bindparams(_OF_SHEET)


async def create_staged(
    db: AsyncConnection, indexer: BlindIndexer, plan: ImportPlan, *, only_affected: bool = False
) -> None:
    """Create `staged` from the stored rows, or from those in `affected`. Phones get the current blind indexes. The
    statistics of this table and of those that follow are made from a sample of 3,000 rows."""
    await db.execute(text("SET LOCAL default_statistics_target = 10"))
    await db.execute(text("DROP TABLE IF EXISTS staged"))
    statement = _STAGE_AFFECTED if only_affected else _STAGE_ALL
    await db.execute(statement, plan.parameters | {"of_sheet": SHEET_CODES})
    if indexer.cipher.is_rotating:
        await _reindex_rows(db, indexer)
    await db.execute(text("CREATE INDEX ON staged (row_no)"))
    await db.execute(text("ANALYZE staged (row_no, person_key, known_id, unit_path)"))


class _IndexedRow(NamedTuple):
    row_no: int
    phone_index: bytes
    phone_last4_index: bytes


_INDEXED_ROWS = text("SELECT row_no, phone_index, phone_last4_index FROM staged WHERE phone_index IS NOT NULL")
_REINDEX_ROWS = text("""
UPDATE staged AS s SET phone_index = given.phone, phone_last4_index = given.last4, person_key = given.phone
FROM unnest(:rows, :phones, :last4s) AS given (row_no, phone, last4) WHERE s.row_no = given.row_no
""").bindparams(
    bindparam("rows", type_=ARRAY(Integer)),
    bindparam("phones", type_=ARRAY(LargeBinary)),
    bindparam("last4s", type_=ARRAY(LargeBinary)),
)


async def _reindex_rows(db: AsyncConnection, indexer: BlindIndexer) -> None:
    """Update the blind indexes of phones that a rotation of the index key has moved since the rows were stored."""

    def compute_indexes(rows: Sequence[_IndexedRow]) -> dict[str, list[int] | list[bytes]]:
        moved = [
            (row, index) for row in rows if (index := indexer.get_current_index(row.phone_index)) != row.phone_index
        ]
        return {
            "rows": [row.row_no for row, _ in moved],
            "phones": [index for _, index in moved],
            "last4s": [indexer.cipher.reindex_value(row.phone_last4_index) for row, _ in moved],
        }

    found = await fetch_rows(db, _INDEXED_ROWS, _IndexedRow)
    await db.execute(_REINDEX_ROWS, await asyncio.to_thread(compute_indexes, found))
