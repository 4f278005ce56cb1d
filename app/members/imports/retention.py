"""Retention of uploaded sheets and their rows. The import and its counts are not deleted."""

from datetime import timedelta

from sqlalchemy import delete, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.database.retention import CleanUp
from app.members.imports.schemas import FINISHED_STATES, ImportState
from app.schema.imports import Import, ImportChange, ImportFile, ImportRow, ImportUnit

ROWS_RETENTION = timedelta(days=30)
REVERSIBLE = timedelta(days=1)
"""How long an import can be undone."""

_EXPIRED = (Import.created_at < func.now() - ROWS_RETENTION) & Import.rows_forgotten_at.is_(None)


async def cancel_unconfirmed_imports(db: AsyncConnection, limit: int) -> int:
    """Cancel at most `limit` imports that no admin confirmed in time. Return the number of cancelled imports.

    Each gets an audit entry. Rows that another transaction has locked are skipped.
    """
    due = (
        select(Import.org_id, Import.id)
        .where(_EXPIRED, Import.state == ImportState.READY)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    canceled = await db.execute(
        update(Import)
        .where(Import.org_id == due.c.org_id, Import.id == due.c.id)
        .values(state=ImportState.CANCELED, finished_at=func.now())
        .returning(Import.org_id, Import.id)
    )
    rows = canceled.all()
    for org_id, import_id in rows:
        await record(db, Actor(), "import.canceled", org_id=org_id, subject=("import", import_id))
    return len(rows)


async def delete_import_rows(db: AsyncConnection, limit: int) -> int:
    """Delete the rows and the file of at most `limit` expired imports that are finished. Return their number."""
    due = (
        select(Import.org_id, Import.id)
        .where(_EXPIRED, Import.state.in_(FINISHED_STATES))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    finished = [tuple(row) for row in (await db.execute(due)).all()]
    for table in (ImportRow, ImportChange, ImportUnit, ImportFile):
        await db.execute(delete(table).where(tuple_(table.org_id, table.import_id).in_(finished)))
    await db.execute(
        update(Import).where(tuple_(Import.org_id, Import.id).in_(finished)).values(rows_forgotten_at=func.now())
    )
    return len(finished)


CLEAN_UPS = (
    CleanUp(
        name="unconfirmed-imports",
        deletes="nothing: it cancels imports that no admin confirmed, so that their rows can be deleted",
        tables=("imports",),
        after=ROWS_RETENTION,
        since="the sheet was uploaded",
        run=cancel_unconfirmed_imports,
        batch=500,
    ),
    CleanUp(
        name="import-rows",
        deletes="rows, changes and files of imports; each import stays, with its counts",
        tables=("import_rows", "import_changes", "import_units", "import_files"),
        after=ROWS_RETENTION,
        since="the sheet was uploaded",
        run=delete_import_rows,
        batch=5,  # one import may have 200,000 rows
    ),
)
