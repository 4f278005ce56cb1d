"""The table `staged`: the rows of a new sheet, or the stored rows of a checked import."""

import asyncio
from collections.abc import AsyncIterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Integer, LargeBinary, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from app.blind_index.keys import BlindIndexer
from app.database.rows import fetch_rows
from app.members.imports.rows import StagedRow

_CREATE_STAGED = (
    "CREATE TEMPORARY TABLE staged (LIKE import_rows) ON COMMIT DROP",
    "ALTER TABLE staged ALTER outcome DROP NOT NULL, ALTER problems DROP NOT NULL,"
    " ALTER warnings DROP NOT NULL, ALTER related_rows DROP NOT NULL,"
    " ALTER org_id DROP NOT NULL, ALTER import_id DROP NOT NULL, ADD person_key bytea",
)


async def load_rows(db: AsyncConnection, batches: AsyncIterable[Sequence[StagedRow]]) -> None:
    """Create `staged` and write the batches into it with COPY."""
    for statement in _CREATE_STAGED:
        await db.execute(text(statement))
    driver: Any = (await db.get_raw_connection()).driver_connection
    async for batch in batches:
        await driver.copy_records_to_table("staged", records=batch, columns=StagedRow._fields)
    await _index_staged_rows(db)


async def load_stored_rows(db: AsyncConnection, indexer: BlindIndexer, org_id: UUID, import_id: UUID) -> None:
    """Create `staged` from the stored rows of a checked import. Phones get the current blind indexes."""
    await db.execute(
        text(
            "CREATE TEMPORARY TABLE staged ON COMMIT DROP AS"
            " SELECT *, phone_index AS person_key FROM import_rows WHERE org_id = :org_id AND import_id = :import_id"
        ),
        {"org_id": org_id, "import_id": import_id},
    )
    if indexer.cipher.is_rotating:
        await _reindex_rows(db, indexer)
    await _index_staged_rows(db)


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


async def _index_staged_rows(db: AsyncConnection) -> None:
    await db.execute(text("CREATE INDEX ON staged (row_no)"))
    await db.execute(text("ANALYZE staged"))
