"""Writes of loads: upload, confirmation, cancellation, reversal. The API and the command line share them.

Each records an audit entry of no org. The entries of the orgs are written by the jobs.
"""

import asyncio
from typing import BinaryIO, NamedTuple
from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.core.cipher import Cipher
from app.database.rows import one_or_404
from app.members.imports.uploads import inspect_upload
from app.org_loads import files
from app.org_loads.errors import (
    OrgLoadInUse,
    OrgLoadNotReady,
    OrgLoadNotReversible,
    OrgLoadPreviewStale,
    OrgLoadSettled,
)
from app.org_loads.jobs import CHECK, LOAD, REVERSE, update_load
from app.org_loads.reversal import list_orgs_in_use
from app.org_loads.schemas import CANCELABLE_STATES, LoadState
from app.queue.jobs import enqueue
from app.schema.org_loads import OrgLoad
from app.web.errors import NotFound


class _LockedLoad(NamedTuple):
    state: str
    preview: int
    to_create: int
    present: int
    refused: int
    created: int
    reversed: int


async def create_load(
    db: AsyncConnection, cipher: Cipher, actor: Actor, user_id: UUID, file_name: str, file: BinaryIO
) -> UUID:
    """Store a sheet of orgs encrypted and enqueue its check. `user_id` is the platform operator. Return the load's id.

    Raises a SheetRefused if `inspect_upload` finds that the file cannot be read.
    """
    kind = await asyncio.to_thread(inspect_upload, file_name, file)
    values = {"format": kind, "file_name": file_name, "created_by": user_id}
    load_id: UUID = (await db.execute(insert(OrgLoad).values(values).returning(OrgLoad.id))).scalar_one()
    await files.store_file(db, cipher, load_id, file)
    await enqueue(db, CHECK, {"load_id": str(load_id)})
    await record(db, actor, "org_load.uploaded", subject=("org_load", load_id), after={"format": kind})
    return load_id


async def confirm_load(db: AsyncConnection, actor: Actor, load_id: UUID, preview: int) -> None:
    """Confirm a preview and enqueue the loading. Confirming it again changes nothing.

    Locks the load. Raises NotFound, OrgLoadNotReady, OrgLoadPreviewStale.
    """
    found = await _lock_load(db, load_id)
    if preview != found.preview and found.preview:
        shown = {name: getattr(found, name) for name in ("preview", "to_create", "present", "refused")}
        raise OrgLoadPreviewStale(**shown)
    if found.state in {LoadState.CONFIRMED, LoadState.LOADING, LoadState.DONE}:
        return
    if found.state != LoadState.READY:
        raise OrgLoadNotReady(state=found.state)
    await update_load(db, load_id, (LoadState.READY,), state=LoadState.CONFIRMED)
    await enqueue(db, LOAD, {"load_id": str(load_id)})
    after = {"preview": preview, "to_create": found.to_create}
    await record(db, actor, "org_load.confirmed", subject=("org_load", load_id), after=after)


async def cancel_load(db: AsyncConnection, actor: Actor, load_id: UUID) -> None:
    """Cancel a load. A running load ends after its present batch at the latest; the orgs that it has created stay.

    Locks the load. Raises NotFound, OrgLoadSettled.
    """
    canceled = await db.scalar(
        update(OrgLoad)
        .where(OrgLoad.id == load_id, OrgLoad.state.in_(CANCELABLE_STATES))
        .values(state=LoadState.CANCELED, finished_at=func.now())
        .returning(OrgLoad.created)
    )
    if canceled is None:
        state = await db.scalar(select(OrgLoad.state).where(OrgLoad.id == load_id))
        if state is None:
            raise NotFound
        if state == LoadState.CANCELED:
            return
        raise OrgLoadSettled(state=state)
    await files.delete_file(db, load_id)
    await record(db, actor, "org_load.canceled", subject=("org_load", load_id), after={"created": canceled})


async def reverse_load(db: AsyncConnection, actor: Actor, user_id: UUID, load_id: UUID, *, only_unused: bool) -> None:
    """Enqueue the reversal of a load that is over: its orgs will be closed. Asking again while it runs changes nothing.

    Orgs in use stay; unless `only_unused`, they make the call fail. Locks the load. Raises NotFound,
    OrgLoadNotReversible, OrgLoadInUse.
    """
    found = await _lock_load(db, load_id)
    if found.state == LoadState.REVERSING:
        return
    reversible = (LoadState.DONE, LoadState.CANCELED, LoadState.FAILED, LoadState.REVERSED)
    if found.state not in reversible or found.created == found.reversed:
        raise OrgLoadNotReversible(state=found.state)
    if not only_unused and (in_use := await list_orgs_in_use(db, load_id)):
        raise OrgLoadInUse.of(in_use)
    await update_load(db, load_id, reversible, state=LoadState.REVERSING, finished_at=None)
    await enqueue(db, REVERSE, {"load_id": str(load_id), "user_id": str(user_id)})
    after = {"only_unused": only_unused}
    await record(db, actor, "org_load.reversal_requested", subject=("org_load", load_id), after=after)


async def _lock_load(db: AsyncConnection, load_id: UUID) -> _LockedLoad:
    columns = [getattr(OrgLoad, name) for name in _LockedLoad._fields]
    statement = select(*columns).where(OrgLoad.id == load_id).with_for_update()
    return await one_or_404(db, statement, _LockedLoad)
