"""The two jobs of an import: the check turns a sheet into rows for the preview, the merge writes a confirmed import.

Both jobs can be killed at any point and run again: the check starts from the beginning, the merge is one transaction.
One import of an org runs at a time, so that imports do not interleave and do not block other orgs.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit_log.entries import Actor, record
from app.blind_index.keys import BlindIndexer, lock_index_key
from app.core.cipher import Cipher
from app.core.ids import make_ids
from app.database.db import on_constraint
from app.database.locks import Lock, try_lock
from app.database.rows import fetch_row
from app.members import activation
from app.members.imports import merge
from app.members.imports.errors import REREADABLE, SheetRefused
from app.members.imports.files import stream_file
from app.members.imports.previews import decide_outcomes, make_preview, store_preview
from app.members.imports.reader import SheetReading, SheetRow
from app.members.imports.rows import StagedRow, stage_rows
from app.members.imports.sheet_contents import get_remembered_headings
from app.members.imports.staging import outcomes
from app.members.imports.staging.changes import count_unseen_changes, store_changes, store_versions
from app.members.imports.staging.people import decide_people
from app.members.imports.staging.plan import ImportPlan
from app.members.imports.staging.rows import store_rows
from app.messages.delivery import add_message
from app.messages.kinds import MessageKind
from app.orgs.names import Kind
from app.queue.jobs import Busy, Job, Payload, Worker
from app.schema.imports import Import, ImportChange, ImportFile, ImportRow, ImportUnit
from app.schema.orgs import Org
from app.web.forms import open_anonymous_file

CHECK, CHECK_LARGE = "check_import", "check_large_import"
MERGE, MERGE_LARGE = "merge_import", "merge_large_import"
# An import with this many bytes or rows is large. Large imports of all orgs share a limited number of workers.
LARGE_BYTES = 256 << 10
LARGE_ROWS = 5000

BATCH_ROWS = 2000
PROGRESS_SECONDS = 0.3


class _RunningImport(NamedTuple):
    """The columns of an import that its job needs."""

    id: UUID
    mode: str
    unit_id: UUID | None
    units: str
    unknown_units: str
    reading_options: dict[str, Any]
    format: str
    file_name: str
    accepted_leaving: int | None
    new_units: list[str]
    directory_digest: str | None
    created_by: UUID

    def make_plan(self, org_id: UUID) -> ImportPlan:
        return ImportPlan(org_id, self.id, self.mode, self.unit_id, self.units, self.unknown_units)


class ImportCanceled(Exception):
    """An admin cancelled the import while its job was running. The job's transaction rolls back."""


async def check_import(worker: Worker, payload: Payload) -> None:
    """Read an uploaded sheet and store its rows, each with the outcome that a merge would have.

    The directory is only read. Raises Busy if another import of the org is running.
    """
    org_id, import_id = UUID(payload["org_id"]), UUID(payload["import_id"])
    async with _lock_imports_of_org(worker.engine, org_id):
        async with worker.engine.begin() as db:
            running = await _update_import(
                db, org_id, import_id, ("uploaded", "checking"), state="checking", rows_done=0
            )
        if running is None:
            return
        with suppress(ImportCanceled):
            try:
                values = await _check_sheet(worker, org_id, running)
            except SheetRefused as refused:
                values = {"state": "refused", "refusal": {"code": refused.slug, **refused.extra}}
            async with worker.engine.begin() as db:
                await _update_import(db, org_id, import_id, ("checking",), **values)
                if values["state"] == "refused":
                    await _delete_rows(db, org_id, import_id)
                    await _add_failure_message(db, org_id, running)
                    if values["refusal"]["code"] not in REREADABLE:
                        await _delete_file(db, org_id, import_id)


async def _check_sheet(worker: Worker, org_id: UUID, running: _RunningImport) -> dict[str, Any]:
    plan = running.make_plan(org_id)
    async with worker.engine.begin() as db:
        indexer = await lock_index_key(db, worker.cipher)
        kind = await db.scalar(select(Org.kind).where(Org.id == org_id))
        with open_anonymous_file() as file:
            async for part in stream_file(db, worker.cipher, org_id, running.id):
                file.write(part)
            file.flush()
            file.seek(0)
            options = running.reading_options | {"remembered": await get_remembered_headings(db, org_id)}
            reading = SheetReading(running.format, file.fileno(), options)
            batches = _stage_batches(worker, indexer, org_id, running, reading, party_org=kind == Kind.PARTY)
            await store_rows(db, plan, batches)
        preview = await make_preview(db, indexer, plan)
    rows = preview.counts.rows_total
    return {"state": "ready", "rows_done": rows, "reading": reading.result, **preview.values}


async def _stage_batches(
    worker: Worker,
    indexer: BlindIndexer,
    org_id: UUID,
    running: _RunningImport,
    reading: SheetReading,
    *,
    party_org: bool,
) -> AsyncIterator[Sequence[StagedRow]]:
    """Yield the sheet's staged rows, which a thread builds. Update the import's progress now and then."""
    done, shown_at = 0, 0.0
    building: asyncio.Task[list[StagedRow]] | None = None
    try:
        async for rows in _combine_batches(reading.read_rows()):
            done += len(rows)
            if time.monotonic() - shown_at > PROGRESS_SECONDS:
                async with worker.engine.begin() as db:
                    if await _update_import(db, org_id, running.id, ("checking",), rows_done=done) is None:
                        raise ImportCanceled
                shown_at = time.monotonic()
            # Three batches are in work at the same time: one is read, one is built and one is written.
            previous = building
            ids = make_ids(len(rows))
            building = asyncio.create_task(asyncio.to_thread(stage_rows, indexer, org_id, party_org, rows, ids))
            if previous is not None:
                yield await previous
        if building is not None:
            yield await building
    finally:
        if building is not None:
            await asyncio.wait({building})


async def _combine_batches(batches: AsyncIterator[list[SheetRow]]) -> AsyncIterator[list[SheetRow]]:
    """Yield the same rows in batches of at least BATCH_ROWS."""
    combined: list[SheetRow] = []
    async for rows in batches:
        combined += rows
        if len(combined) >= BATCH_ROWS:
            yield combined
            combined = []
    if combined:
        yield combined


async def merge_import(worker: Worker, payload: Payload) -> None:
    """Write a confirmed import into the directory, completely or not at all.

    If it would now do something that the preview does not show, the import returns to the state `ready` with a new
    preview. Raises Busy if another import of the org is running, or if a member changed during the merge.
    """
    org_id, import_id = UUID(payload["org_id"]), UUID(payload["import_id"])
    async with _lock_imports_of_org(worker.engine, org_id):
        async with worker.engine.begin() as db:
            running = await _update_import(db, org_id, import_id, ("confirmed", "merging"), state="merging")
        # A person may be added by hand after the merge has read the directory. The retry of the job finds that person.
        with suppress(ImportCanceled), on_constraint(("members_org_id_phone_index_key", Busy)):
            if running is not None:
                async with worker.engine.begin() as db:
                    await _merge_rows(db, worker.cipher, org_id, running)
        # This also runs if an earlier worker was killed between the commit of the merge and this point.
        parameters = {"org_id": org_id, "import_id": import_id}
        await activation.activate_committed_rows(worker.engine, worker.cipher, org_id, _WRITTEN_MEMBERS, parameters)


_WRITTEN_MEMBERS = """
SELECT DISTINCT member_id FROM import_rows
WHERE org_id = :org_id AND import_id = :import_id AND outcome IN ('added', 'changed')
"""


async def _merge_rows(db: AsyncConnection, cipher: Cipher, org_id: UUID, running: _RunningImport) -> None:
    kind = await merge.lock_org(db, org_id)
    if kind is None:
        await _finish_import(db, org_id, running.id, {"state": "canceled"})
        return
    indexer = await lock_index_key(db, cipher)
    plan = running.make_plan(org_id)
    digest = await outcomes.compute_directory_digest(db, plan)
    await decide_outcomes(db, indexer, plan)
    counts = await outcomes.count_outcomes(db, plan, final=True)
    if set(counts.new_units) - set(running.new_units) or await count_unseen_changes(db, plan):
        preview = await store_preview(db, plan, digest)
        await _finish_import(db, org_id, running.id, {"state": "ready", **preview.values})
        return
    await store_changes(db, plan, with_undecided=False)
    actor = Actor(user_id=running.created_by)
    created = await merge.create_units(db, plan) if counts.new_units else []
    if created:
        await decide_people(db, plan)
    await merge.merge_people(db, cipher, actor, plan, party_org=kind == Kind.PARTY)
    same = digest == running.directory_digest
    await outcomes.store_row_outcomes(db, plan, final=True, same_directory=same)
    await store_versions(db, plan)
    await _delete_file(db, org_id, running.id)
    values = counts._asdict() | {"created_units": created}
    await _finish_import(db, org_id, running.id, {"state": "done", "finished_at": func.now(), **values})
    await merge.record_changes(db, actor, plan, running.file_name)
    shown = ("added", "changed", "moved", "leaving", "unchanged", "refused", "new_units")
    after = {"mode": running.mode, "file_name": running.file_name, **{name: getattr(counts, name) for name in shown}}
    subject = ("import", running.id)
    await record(db, actor, "import.merged", org_id=org_id, subject=subject, after=after)
    kind = MessageKind.IMPORT_DONE
    counted = {name: getattr(counts, name) for name in ("added", "changed", "leaving", "refused")}
    await add_message(db, running.created_by, kind, org_id, actor_id=None, subject=subject, **counted)


async def fail_import(worker: Worker, payload: Payload) -> None:
    """Mark the import as failed and delete its file. The worker calls it after too many failures of the job."""
    org_id, import_id = UUID(payload["org_id"]), UUID(payload["import_id"])
    async with worker.engine.begin() as db:
        states = ("uploaded", "checking", "confirmed", "merging")
        failed = await _update_import(db, org_id, import_id, states, state="failed", finished_at=func.now())
        if failed is not None:
            await _add_failure_message(db, org_id, failed)
        await _delete_file(db, org_id, import_id)


async def _add_failure_message(db: AsyncConnection, org_id: UUID, failed: _RunningImport) -> None:
    subject = ("import", failed.id)
    await add_message(db, failed.created_by, MessageKind.IMPORT_FAILED, org_id, actor_id=None, subject=subject)


async def _finish_import(db: AsyncConnection, org_id: UUID, import_id: UUID, values: dict[str, Any]) -> None:
    if await _update_import(db, org_id, import_id, ("merging",), **values) is None:
        raise ImportCanceled  # rolls back the transaction


async def _update_import(
    db: AsyncConnection, org_id: UUID, import_id: UUID, states: Sequence[str], **values: Any
) -> _RunningImport | None:
    """Set columns of an import that is in one of these states. Return it, or None if it is in another state."""
    statement = (
        update(Import)
        .where(Import.org_id == org_id, Import.id == import_id, Import.state.in_(states))
        .values(**values)
        .returning(*(getattr(Import, name) for name in _RunningImport._fields))
    )
    return await fetch_row(db, statement, _RunningImport)


async def _delete_rows(db: AsyncConnection, org_id: UUID, import_id: UUID) -> None:
    for table in (ImportRow, ImportChange, ImportUnit):
        await db.execute(delete(table).where(table.org_id == org_id, table.import_id == import_id))


async def _delete_file(db: AsyncConnection, org_id: UUID, import_id: UUID) -> None:
    await db.execute(delete(ImportFile).where(ImportFile.org_id == org_id, ImportFile.import_id == import_id))


@asynccontextmanager
async def _lock_imports_of_org(engine: AsyncEngine, org_id: UUID) -> AsyncIterator[None]:
    """Lock the imports of an org, so that one of them runs at a time. Raises Busy if another import has the lock."""
    async with engine.begin() as db:
        if not await try_lock(db, Lock.IMPORTS, org_id):
            raise Busy
        yield


# Large imports may not use all slots of a worker, so that an import of fifty rows does not wait behind one of a
# hundred thousand rows.
JOBS: Mapping[str, Job] = {
    CHECK: Job(check_import, fail_import),
    CHECK_LARGE: Job(check_import, fail_import, concurrency_limit=2),
    MERGE: Job(merge_import, fail_import),
    MERGE_LARGE: Job(merge_import, fail_import, concurrency_limit=1),
}
