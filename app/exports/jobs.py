"""The job of an export: read one instant of the database, write the file through, keep it encrypted in parts.

It can be killed at any point and run again, when it begins anew; where its row is gone it stops. What is held in
memory is a batch of rows and a part of the file, however long the file is.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, delete, func, insert, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.core.cipher import Cipher
from app.database.db import constraint_of
from app.database.locks import Lock, try_lock
from app.database.rows import fetch_row
from app.exports.kinds import Asked, ExportKind
from app.exports.retention import KEPT
from app.queue.jobs import Busy, Job, Payload, Worker
from app.schema.exports import Export, ExportPart
from app.sheets.layout import ByteBuffer
from app.sheets.writer import MAX_XLSX_ROWS, open_writer

PART = 1 << 20


class Deleted(Exception):  # noqa: N818
    """The export was deleted while it was made."""


def export_job(kind: ExportKind) -> dict[str, Job]:
    """The kind's job, for the `JOBS` of its feature."""
    return {kind.job: Job(partial(make_export, kind), give_up)}


class _Begun(NamedTuple):
    """What the job needs of its export."""

    id: UUID
    format: str
    question_cipher: bytes
    created_by: UUID


async def make_export(kind: ExportKind, worker: Worker, payload: Payload) -> None:
    """Make the file of an export that waits, or that a worker was killed over."""
    org_id, export_id = UUID(payload["org_id"]), UUID(payload["export_id"])
    async with _instant(worker, export_id) as db:
        begun = await _advance(worker, org_id, export_id, state="running", rows_done=0)
        if begun is None:
            return
        async with worker.engine.begin() as writing:
            await writing.execute(delete(ExportPart).where(*_of(org_id, export_id)))
        question = orjson.loads(worker.cipher.decrypt(begun.question_cipher, export_id))
        with suppress(Deleted):
            await _make(kind, worker, Asked(db, worker.cipher, org_id, question), begun)


async def _make(kind: ExportKind, worker: Worker, asked: Asked, begun: _Begun) -> None:
    sheet = await kind.sheet(asked)
    if begun.format == "xlsx" and sheet.rows > MAX_XLSX_ROWS:
        await _fail(worker, asked.org_id, begun.id, "too-many-rows")
        return
    buffer = ByteBuffer()
    keeping = _Keeping(worker, asked.org_id, begun.id, buffer)
    layout = sheet.layout()
    writer = await asyncio.to_thread(open_writer, begun.format, layout, buffer)
    done = 0
    await _go_on(worker, asked.org_id, begun.id, rows_total=sheet.rows)
    async for batch in sheet.batches:
        await asyncio.to_thread(writer.write, batch)
        await keeping.keep(at_least=PART)
        done += len(batch)
        await _go_on(worker, asked.org_id, begun.id, rows_done=done)
    await asyncio.to_thread(writer.finish)
    await keeping.keep(at_least=1)
    async with worker.engine.begin() as db:
        finished = {"state": "done", "size": keeping.size, "finished_at": func.now(), "expires_at": func.now() + KEPT}
        await _update(db, asked.org_id, begun.id, **finished)
        subject, actor = ("export", begun.id), Actor(user_id=begun.created_by)
        await record(db, actor, "export.finished", org_id=asked.org_id, subject=subject, after={"rows": done})


class _Keeping:
    """The file's parts as they are stored, each in a transaction of its own, so that nobody waits for the export."""

    def __init__(self, worker: Worker, org_id: UUID, export_id: UUID, buffer: ByteBuffer) -> None:
        self._worker, self._org_id, self._export_id, self._outlet = worker, org_id, export_id, buffer
        self._number = self.size = 0

    async def keep(self, at_least: int) -> None:
        """Store what the buffer holds, if it is that much. Raises Deleted."""
        if len(self._outlet) < at_least:
            return
        taken = self._outlet.take()
        self.size += len(taken)
        for start in range(0, len(taken), PART):
            await self._store(taken[start : start + PART])

    async def _store(self, part: bytes) -> None:
        sealed = await asyncio.to_thread(_seal, self._worker.cipher, part, f"{self._export_id}/{self._number}")
        row = {"org_id": self._org_id, "export_id": self._export_id, "part": self._number, "content_cipher": sealed}
        try:
            async with self._worker.engine.begin() as db:
                await db.execute(insert(ExportPart).values(row))
        except IntegrityError as error:
            if constraint_of(error) == "export_parts_export_fkey":
                raise Deleted from None
            raise
        self._number += 1


def _seal(cipher: Cipher, part: bytes, place: str) -> bytes:
    return cipher.encrypt(part, place)


async def give_up(worker: Worker, payload: Payload) -> None:
    """The job has failed too often: say so, and keep nothing of the file."""
    await _fail(worker, UUID(payload["org_id"]), UUID(payload["export_id"]), "failed")


async def _fail(worker: Worker, org_id: UUID, export_id: UUID, failure: str) -> None:
    async with worker.engine.begin() as db:
        await db.execute(delete(ExportPart).where(*_of(org_id, export_id)))
        with suppress(Deleted):
            await _update(db, org_id, export_id, state="failed", failure=failure, finished_at=func.now())


async def _advance(worker: Worker, org_id: UUID, export_id: UUID, **values: Any) -> _Begun | None:
    """Set columns of an export that is not over. Returns it, or None if it is over or gone."""
    async with worker.engine.begin() as db:
        statement = (
            update(Export)
            .where(Export.org_id == org_id, Export.id == export_id, Export.state.in_(("waiting", "running")))
            .values(**values)
            .returning(Export.id, Export.format, Export.question_cipher, Export.created_by)
        )
        return await fetch_row(db, statement, _Begun)


async def _go_on(worker: Worker, org_id: UUID, export_id: UUID, **values: Any) -> None:
    if await _advance(worker, org_id, export_id, **values) is None:
        raise Deleted


async def _update(db: AsyncConnection, org_id: UUID, export_id: UUID, **values: Any) -> None:
    which = (Export.org_id == org_id, Export.id == export_id, Export.state.in_(("waiting", "running")))
    if (await db.execute(update(Export).where(*which).values(**values))).rowcount == 0:
        raise Deleted


def _of(org_id: UUID, export_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return (ExportPart.org_id == org_id, ExportPart.export_id == export_id)


@asynccontextmanager
async def _instant(worker: Worker, export_id: UUID) -> AsyncIterator[AsyncConnection]:
    """A connection that sees one instant, and the export's turn. Raises Busy where another worker is at it."""
    async with worker.engine.connect() as db:
        await db.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        async with db.begin():
            if not await try_lock(db, Lock.EXPORT, export_id):
                raise Busy
            yield db
