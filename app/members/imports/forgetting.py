"""What an import keeps of people beside the directory is kept for thirty days: its rows, its cells, a file left over.

The import's card with its counts stays.
"""

from datetime import timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.members.imports.schemas import SETTLED, ImportState
from app.schema.members import Import, ImportFile, ImportRow

KEPT = timedelta(days=30)


async def forget_old_imports(db: AsyncConnection) -> None:
    """Cancel what nobody confirmed within thirty days, and delete the rows and files of all that is over and as old."""
    old = Import.created_at < func.now() - KEPT
    stale = await db.execute(
        update(Import)
        .where(old, Import.rows_forgotten_at.is_(None), Import.state == ImportState.READY)
        .values(state=ImportState.CANCELED, finished_at=func.now())
        .returning(Import.org_id, Import.id)
    )
    for org_id, import_id in stale.all():
        await record(db, Actor(), "import.canceled", org_id=org_id, subject=("import", import_id))
    over = (
        update(Import)
        .where(old, Import.rows_forgotten_at.is_(None), Import.state.in_(SETTLED))
        .values(rows_forgotten_at=func.now())
        .returning(Import.org_id, Import.id)
        .cte("over")
    )
    rows = delete(ImportRow).where(ImportRow.org_id == over.c.org_id, ImportRow.import_id == over.c.id).cte("rows")
    files = delete(ImportFile).where(ImportFile.org_id == over.c.org_id, ImportFile.import_id == over.c.id).cte("files")
    await db.execute(select(func.count()).select_from(over).add_cte(rows, files))
