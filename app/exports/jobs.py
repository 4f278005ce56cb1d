"""The job of an export: read one snapshot of the database, write the file and store it encrypted in parts.

The job can be killed at any point; the next run starts from the beginning. If the export is deleted, the job stops.
Only a batch of rows and a part of the file are in memory, however large the file is.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import orjson
import structlog
from sqlalchemy import ColumnElement, delete, func, insert, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit_log.entries import Actor, record
from app.core.cipher import Cipher
from app.database.db import get_constraint_name
from app.database.locks import Lock, try_lock
from app.database.replica_reads import is_failure_of_standby
from app.database.rows import fetch_row
from app.exports.kinds import ExportKind, ExportRequest
from app.exports.retention import EXPORT_LIFETIME
from app.queue.jobs import Busy, Job, Payload, Worker
from app.schema.exports import Export, ExportPart
from app.sheets.layout import ByteBuffer
from app.sheets.writer import MAX_XLSX_ROWS, open_writer

log = structlog.get_logger()

PART_BYTES = 1 << 20
REPLICA_SECONDS = 5.0
"""How long an export waits until the standby has all that is committed when it begins."""


class ExportDeleted(Exception):
    """The export was deleted while its file was being written."""


def export_job(kind: ExportKind) -> dict[str, Job]:
    """Return the job of an export kind by its name, for the `JOBS` of the feature."""
    return {kind.job_name: Job(partial(make_export, kind), mark_failed)}


class _StartedExport(NamedTuple):
    """The columns of an export that the job needs."""

    id: UUID
    format: str
    question_cipher: bytes
    created_by: UUID


async def make_export(kind: ExportKind, worker: Worker, payload: Payload) -> None:
    """Write the file of an export that waits, or whose worker was killed.

    Locks the export for this worker (`Lock.EXPORT`). Raises Busy if another worker has the lock.
    """
    org_id, export_id = UUID(payload["org_id"]), UUID(payload["export_id"])
    async with _open_snapshot(worker.engine) as db:
        if not await try_lock(db, Lock.EXPORT, export_id):
            raise Busy
        started = await _start(worker, org_id, export_id)
        if started is None:
            return
        question = orjson.loads(worker.cipher.decrypt(started.question_cipher, export_id))
        with suppress(ExportDeleted):
            if not await _write_from_replica(kind, worker, org_id, question, started):
                await _write_file(kind, worker, ExportRequest(db, worker.cipher, org_id, question), started)


async def _start(worker: Worker, org_id: UUID, export_id: UUID) -> _StartedExport | None:
    """Begin an export or begin it again. Return it, or None if it is finished or deleted."""
    started = await _update_unfinished(worker, org_id, export_id, state="running", rows_done=0)
    if started is not None:
        async with worker.engine.begin() as writing:
            await writing.execute(delete(ExportPart).where(*_match_parts(org_id, export_id)))
    return started


async def _write_from_replica(
    kind: ExportKind, worker: Worker, org_id: UUID, question: dict[str, Any], started: _StartedExport
) -> bool:
    """Return whether the file could be written from the standby, with all that was committed before this call.

    If the standby fails in between, for example because the replay must remove rows that the export still reads, the
    export begins again on the primary. Raises ExportDeleted.
    """
    if worker.replica is None or not await worker.replica.catch_up(REPLICA_SECONDS):
        return False
    try:
        async with _open_snapshot(worker.replica.engine) as db:
            await _write_file(kind, worker, ExportRequest(db, worker.cipher, org_id, question), started)
            return True
    except (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        if not is_failure_of_standby(error):
            raise
        log.warning("replica_read_failed", error=type(error).__name__)
    if await _start(worker, org_id, started.id) is None:
        raise ExportDeleted
    return False


async def _write_file(kind: ExportKind, worker: Worker, request: ExportRequest, started: _StartedExport) -> None:
    sheet = await kind.build_sheet(request)
    if started.format == "xlsx" and sheet.rows > MAX_XLSX_ROWS:
        await _fail(worker, request.org_id, started.id, "too-many-rows")
        return
    buffer = ByteBuffer()
    store = _PartStore(worker, request.org_id, started.id, buffer)
    layout = sheet.build_layout()
    writer = await asyncio.to_thread(open_writer, started.format, layout, buffer)
    done = 0
    await _update_progress(worker, request.org_id, started.id, rows_total=sheet.rows)
    async for batch in sheet.batches:
        await asyncio.to_thread(writer.write_rows, batch)
        await store.store_parts(at_least=PART_BYTES)
        done += len(batch)
        await _update_progress(worker, request.org_id, started.id, rows_done=done)
    await asyncio.to_thread(writer.finish)
    await store.store_parts(at_least=1)
    async with worker.engine.begin() as db:
        finished = {
            "state": "done",
            "size": store.size,
            "finished_at": func.now(),
            "expires_at": func.now() + EXPORT_LIFETIME,
        }
        await _update_export(db, request.org_id, started.id, **finished)
        subject, actor = ("export", started.id), Actor(user_id=started.created_by)
        await record(db, actor, "export.finished", org_id=request.org_id, subject=subject, after={"rows": done})


class _PartStore:
    """Stores the parts of the file, each in its own transaction, so that no other transaction waits for the export."""

    def __init__(self, worker: Worker, org_id: UUID, export_id: UUID, buffer: ByteBuffer) -> None:
        self._worker, self._org_id, self._export_id, self._outlet = worker, org_id, export_id, buffer
        self._number = self.size = 0

    async def store_parts(self, at_least: int) -> None:
        """Store the content of the buffer as a part if the buffer has at least `at_least` bytes. Raises
        ExportDeleted."""
        if len(self._outlet) < at_least:
            return
        taken = self._outlet.take()
        self.size += len(taken)
        for start in range(0, len(taken), PART_BYTES):
            await self._store(taken[start : start + PART_BYTES])

    async def _store(self, part: bytes) -> None:
        encrypted = await asyncio.to_thread(_encrypt, self._worker.cipher, part, f"{self._export_id}/{self._number}")
        row = {"org_id": self._org_id, "export_id": self._export_id, "part": self._number, "content_cipher": encrypted}
        try:
            async with self._worker.engine.begin() as db:
                await db.execute(insert(ExportPart).values(row))
        except IntegrityError as error:
            if get_constraint_name(error) == "export_parts_export_fkey":
                raise ExportDeleted from None
            raise
        self._number += 1


def _encrypt(cipher: Cipher, part: bytes, context: str) -> bytes:
    return cipher.encrypt(part, context)


async def mark_failed(worker: Worker, payload: Payload) -> None:
    """Set the state of an export to `failed` after too many failed runs, and delete the stored parts of its file."""
    await _fail(worker, UUID(payload["org_id"]), UUID(payload["export_id"]), "failed")


async def _fail(worker: Worker, org_id: UUID, export_id: UUID, failure: str) -> None:
    async with worker.engine.begin() as db:
        await db.execute(delete(ExportPart).where(*_match_parts(org_id, export_id)))
        with suppress(ExportDeleted):
            await _update_export(db, org_id, export_id, state="failed", failure=failure, finished_at=func.now())


async def _update_unfinished(worker: Worker, org_id: UUID, export_id: UUID, **values: Any) -> _StartedExport | None:
    """Set columns of an unfinished export. Return it, or None if it is finished or deleted."""
    async with worker.engine.begin() as db:
        statement = (
            update(Export)
            .where(Export.org_id == org_id, Export.id == export_id, Export.state.in_(("waiting", "running")))
            .values(**values)
            .returning(Export.id, Export.format, Export.question_cipher, Export.created_by)
        )
        return await fetch_row(db, statement, _StartedExport)


async def _update_progress(worker: Worker, org_id: UUID, export_id: UUID, **values: Any) -> None:
    if await _update_unfinished(worker, org_id, export_id, **values) is None:
        raise ExportDeleted


async def _update_export(db: AsyncConnection, org_id: UUID, export_id: UUID, **values: Any) -> None:
    unfinished = (Export.org_id == org_id, Export.id == export_id, Export.state.in_(("waiting", "running")))
    if (await db.execute(update(Export).where(*unfinished).values(**values))).rowcount == 0:
        raise ExportDeleted


def _match_parts(org_id: UUID, export_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return (ExportPart.org_id == org_id, ExportPart.export_id == export_id)


@asynccontextmanager
async def _open_snapshot(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Yield a connection whose statements all read one snapshot."""
    async with engine.connect() as db:
        await db.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        async with db.begin():
            yield db
