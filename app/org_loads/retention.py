"""Retention of uploaded sheets of orgs and their rows. The load and its counts are not deleted."""

from datetime import timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.database.retention import CleanUp
from app.org_loads.schemas import FINISHED_STATES, LoadState
from app.schema.org_loads import OrgLoad, OrgLoadFile, OrgLoadRow

ROWS_RETENTION = timedelta(days=30)

_EXPIRED = (OrgLoad.created_at < func.now() - ROWS_RETENTION) & OrgLoad.rows_forgotten_at.is_(None)


async def cancel_unconfirmed_loads(db: AsyncConnection, limit: int) -> int:
    """Cancel at most `limit` loads that no operator confirmed in time. Return the number of cancelled loads.

    Each gets an audit entry. Rows that another transaction has locked are skipped.
    """
    due = (
        select(OrgLoad.id)
        .where(_EXPIRED, OrgLoad.state == LoadState.READY)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    canceled = await db.scalars(
        update(OrgLoad)
        .where(OrgLoad.id == due.c.id)
        .values(state=LoadState.CANCELED, finished_at=func.now())
        .returning(OrgLoad.id)
    )
    rows = canceled.all()
    for load_id in rows:
        await record(db, Actor(), "org_load.canceled", subject=("org_load", load_id))
    return len(rows)


async def delete_load_rows(db: AsyncConnection, limit: int) -> int:
    """Delete the rows and the file of at most `limit` expired loads that are finished. Return their number."""
    due = (
        select(OrgLoad.id)
        .where(_EXPIRED, OrgLoad.state.in_(FINISHED_STATES))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    finished = (await db.scalars(due)).all()
    for table in (OrgLoadRow, OrgLoadFile):
        await db.execute(delete(table).where(table.load_id.in_(finished)))
    await db.execute(update(OrgLoad).where(OrgLoad.id.in_(finished)).values(rows_forgotten_at=func.now()))
    return len(finished)


CLEAN_UPS = (
    CleanUp(
        name="unconfirmed-org-loads",
        deletes="nothing: it cancels loads of orgs that no operator confirmed, so that their rows can be deleted",
        tables=("org_loads",),
        after=ROWS_RETENTION,
        since="the sheet was uploaded",
        run=cancel_unconfirmed_loads,
        batch=500,
    ),
    CleanUp(
        name="org-load-rows",
        deletes="rows and files of loads of orgs; each load stays, with its counts",
        tables=("org_load_rows", "org_load_files"),
        after=ROWS_RETENTION,
        since="the sheet was uploaded",
        run=delete_load_rows,
        batch=1,  # one load may have a million rows
    ),
)
