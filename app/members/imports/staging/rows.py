"""The rows of a sheet: stored in `import_rows`, and the table `staged` that is made of them."""

import asyncio
from collections.abc import AsyncIterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Integer, LargeBinary, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from app.blind_index.keys import BlindIndexer
from app.database.rows import fetch_rows
from app.members.imports.row_problems import SHEET_CODES
from app.members.imports.rows import StagedRow
from app.members.imports.staging.plan import ImportPlan

_COLUMNS = ("org_id", "import_id", *StagedRow._fields)


_FORGET_ROWS = text("DELETE FROM import_rows WHERE org_id = :org_id AND import_id = :import_id")


async def store_rows(db: AsyncConnection, plan: ImportPlan, batches: AsyncIterable[Sequence[StagedRow]]) -> None:
    """Write the batches into `import_rows` with COPY, in place of stored ones. Their outcomes are not decided yet."""
    await db.execute(_FORGET_ROWS, plan.parameters)
    driver: Any = (await db.get_raw_connection()).driver_connection
    async for batch in batches:
        records = [(plan.org_id, plan.id, *row) for row in batch]
        await driver.copy_records_to_table("import_rows", records=records, columns=_COLUMNS)


# The problems and warnings that the sheet as a whole causes are decided again each time.
_CREATE_STAGED = text("""
CREATE TEMPORARY TABLE staged ON COMMIT DROP AS
SELECT row_no, new_member_id, name, name_key(name) AS name_key, pinyin, phone_index, phone_last4_index,
       masked_phone IS NOT NULL AS masked, known_id, unit_path, party, probationary, post,
       cells_cipher IS NOT NULL AS refused, outcome AS shown_outcome, decision, phone_index AS person_key,
       CASE WHEN cells_cipher IS NULL THEN '{}'
            ELSE ARRAY(SELECT code FROM unnest(problems) AS code WHERE code <> ALL (:of_sheet)) END AS problems,
       CASE WHEN warnings = '{}' THEN '{}'
            ELSE ARRAY(SELECT code FROM unnest(warnings) AS code WHERE code <> ALL (:of_sheet)) END AS warnings
FROM import_rows WHERE org_id = :org_id AND import_id = :import_id
""").bindparams(bindparam("of_sheet", type_=ARRAY(Text)))


async def create_staged(db: AsyncConnection, indexer: BlindIndexer, plan: ImportPlan) -> None:
    """Create `staged` from the stored rows. Phones get the current blind indexes. The statistics of this table and of
    those that follow are made from a sample of 3,000 rows."""
    await db.execute(text("SET LOCAL default_statistics_target = 10"))
    await db.execute(text("DROP TABLE IF EXISTS staged"))
    await db.execute(_CREATE_STAGED, plan.parameters | {"of_sheet": SHEET_CODES})
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
