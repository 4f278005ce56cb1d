"""The job that writes the copy of a person's data: it reads one snapshot and stores one encrypted zip.

The job can be killed at any point; the next run starts from the beginning. If the copy is deleted meanwhile, nothing
is stored.
"""

import asyncio
import io
import zipfile
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.cipher import Cipher
from app.core.i18n import gettext
from app.database.locks import Lock, try_lock
from app.personal_data.operations import JOB
from app.personal_data.retention import COPY_LIFETIME
from app.personal_data.sections import SECTIONS, Section
from app.queue.jobs import Busy, Job, Payload, Worker
from app.schema.personal_data import DataCopy

INDEX = "README.txt"
_BATCH_ROWS = 1000
_UNFINISHED = ("waiting", "running")


async def write_copy(worker: Worker, payload: Payload) -> None:
    """Write the file of a copy that waits, or whose worker was killed.

    Locks the copy for this worker (`Lock.EXPORT`). Raises Busy if another worker has the lock.
    """
    copy_id = UUID(payload["copy_id"])
    async with worker.engine.connect() as db:
        await db.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        async with db.begin():
            if not await try_lock(db, Lock.EXPORT, copy_id):
                raise Busy
            user_id = await _update_unfinished(worker, copy_id, state="running")
            if user_id is None:
                return
            content = await _build_zip(db, worker.cipher, user_id)
    encrypted = await asyncio.to_thread(worker.cipher.encrypt, content, copy_id)
    finished = {"finished_at": func.now(), "expires_at": func.now() + COPY_LIFETIME}
    await _update_unfinished(worker, copy_id, state="done", size=len(content), content_cipher=encrypted, **finished)


async def _build_zip(db: AsyncConnection, cipher: Cipher, user_id: UUID) -> bytes:
    """Return a zip with a JSON file for each section, and a text that lists them in the language of the person."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        lines = [gettext("本服务保存的您的全部个人数据："), ""]
        lines += [f"{section.name}.json  {gettext(section.title)}" for section in SECTIONS]
        archive.writestr(INDEX, "\ufeff" + "\r\n".join([*lines, ""]))
        for section in SECTIONS:
            with archive.open(f"{section.name}.json", "w") as file:
                await _write_section(db, cipher, user_id, section, file)
    return buffer.getvalue()


async def _write_section(db: AsyncConnection, cipher: Cipher, user_id: UUID, section: Section, file: Any) -> None:
    file.write(b"[")
    separator = b"\n"
    async with db.stream(section.statement, {"user_id": user_id}) as rows:
        async for batch in rows.mappings().partitions(_BATCH_ROWS):
            file.write(separator + await asyncio.to_thread(_write_batch, cipher, section, batch))
            separator = b",\n"
    file.write(b"\n]\n")


def _write_batch(cipher: Cipher, section: Section, batch: Any) -> bytes:
    return b",\n".join(orjson.dumps(section.build_record(cipher, row), default=str) for row in batch)


async def mark_failed(worker: Worker, payload: Payload) -> None:
    """Set the state of a copy to `failed` after too many failed runs."""
    await _update_unfinished(worker, UUID(payload["copy_id"]), state="failed", finished_at=func.now())


async def _update_unfinished(worker: Worker, copy_id: UUID, **values: Any) -> UUID | None:
    """Set columns of an unfinished copy. Return the user, or None if the copy is finished or deleted."""
    unfinished = (DataCopy.id == copy_id, DataCopy.state.in_(_UNFINISHED))
    async with worker.engine.begin() as db:
        changed = update(DataCopy).where(*unfinished).values(**values).returning(DataCopy.user_id)
        user_id: UUID | None = await db.scalar(changed)
        return user_id


# One at a time: each reads the whole audit log, which has no index by user.
JOBS: Mapping[str, Job] = {JOB: Job(write_copy, mark_failed, concurrency_limit=1)}
