"""Creating and filling the table `loading`: from a new sheet, or from the stored rows of a load."""

from collections.abc import AsyncIterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.org_loads.rows import StagedRow

_CREATE = (
    "CREATE TEMPORARY TABLE loading (LIKE org_load_rows INCLUDING DEFAULTS) ON COMMIT DROP",
    "ALTER TABLE loading ALTER load_id DROP NOT NULL, ALTER outcome DROP NOT NULL, ADD name_key text,"
    " ADD path_key text, ADD superior_key text, ADD superior_keys text[], ADD superior_uuid uuid",
)
_CREATE_FROM_STORED = text("""
CREATE TEMPORARY TABLE loading ON COMMIT DROP AS
SELECT *, name_key(name) AS name_key FROM org_load_rows WHERE load_id = :load_id
""")


async def load_rows(db: AsyncConnection, batches: AsyncIterable[Sequence[StagedRow]]) -> None:
    """Create `loading` and write the batches into it with COPY."""
    for statement in _CREATE:
        await db.execute(text(statement))
    driver: Any = (await db.get_raw_connection()).driver_connection
    async for batch in batches:
        await driver.copy_records_to_table("loading", records=batch, columns=StagedRow._fields)
    await _index(db)


async def load_stored_rows(db: AsyncConnection, load_id: UUID) -> None:
    """Create `loading` from the stored rows of a load that is checked."""
    await db.execute(_CREATE_FROM_STORED, {"load_id": load_id})
    await _index(db)


async def _index(db: AsyncConnection) -> None:
    for column in ("row_no", "superior_row", "level"):
        await db.execute(text(f"CREATE INDEX ON loading ({column})"))
    await db.execute(text("ANALYZE loading"))
