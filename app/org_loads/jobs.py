"""The jobs of a load: the check turns a sheet into rows for the preview, the loading creates the orgs of a confirmed
load, and the reversal closes them.

All of them can be killed at any point and run again. The check starts from the beginning. The loading and the reversal
work in batches, each a transaction, and go on with what is left. One load is worked on at a time, so that what one
creates is what the next one finds.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit_log.entries import Actor, record
from app.certification.edges import EDGE_ERRORS
from app.database.db import on_constraint
from app.database.locks import Lock, try_lock
from app.database.rows import fetch_row
from app.members.imports.errors import SheetRefused
from app.members.imports.reader import CellRow, read_table
from app.org_loads import files
from app.org_loads.batches import create_next_orgs
from app.org_loads.reversal import close_next_orgs
from app.org_loads.rows import OPTIONAL, REQUIRED, StagedRow, stage_rows
from app.org_loads.schemas import LoadState
from app.org_loads.staging import loading_table, outcomes
from app.org_loads.staging.superiors import resolve_superiors
from app.queue.jobs import Busy, Job, Payload, Worker
from app.schema.org_loads import OrgLoad
from app.web.forms import open_anonymous_file

CHECK, LOAD, REVERSE = "check_org_load", "load_orgs", "reverse_org_load"
READ_LIMITS = (1_000_000, 3072, 120)
"""For one sheet: rows, memory of the parser's process in MB, its processor time in seconds."""
READ_ROWS = 2000


class RunningLoad(NamedTuple):
    """The columns of a load that its job needs."""

    id: UUID
    format: str
    created_by: UUID


class LoadCanceled(Exception):
    """An operator cancelled the load while its job was running. The job's transaction rolls back."""


async def check_load(worker: Worker, payload: Payload) -> None:
    """Read an uploaded sheet and store its rows, each with the outcome that the loading would have.

    Nothing but the load is written. Raises Busy if another load is worked on.
    """
    load_id = UUID(payload["load_id"])
    async with _lock_loads(worker.engine):
        async with worker.engine.begin() as db:
            running = await update_load(db, load_id, (LoadState.UPLOADED, LoadState.CHECKING), state=LoadState.CHECKING)
        if running is None:
            return
        with suppress(LoadCanceled):
            try:
                values = await _check_sheet(worker, running)
            except SheetRefused as refused:
                values = {"state": LoadState.REFUSED, "refusal": {"code": refused.slug, **refused.extra}}
                values["finished_at"] = func.now()
            async with worker.engine.begin() as db:
                await update_load(db, load_id, (LoadState.CHECKING,), **values)
                await files.delete_file(db, load_id)


async def _check_sheet(worker: Worker, running: RunningLoad) -> dict[str, Any]:
    async with worker.engine.begin() as db:
        with open_anonymous_file() as file:
            async for part in files.stream_file(db, worker.cipher, running.id):
                file.write(part)
            file.flush()
            file.seek(0)
            async with aclosing(_stage_batches(worker, running, file.fileno())) as batches:
                await loading_table.load_rows(db, batches)
        await resolve_superiors(db)
        await outcomes.decide_outcomes(db)
        counts = await outcomes.count_outcomes(db)
        await outcomes.store_rows(db, running.id)
    return {"state": LoadState.READY, "preview": 1, "rows_done": counts.rows_total, **counts._asdict()}


async def _stage_batches(worker: Worker, running: RunningLoad, file: int) -> AsyncGenerator[Sequence[StagedRow]]:
    """Yield the sheet's staged rows, which a thread builds. Update the load's progress after each batch."""
    done = 0
    async with aclosing(read_table(running.format, file, REQUIRED, OPTIONAL, READ_LIMITS)) as batches:
        async for rows in _combine_batches(batches):
            done += len(rows)
            async with worker.engine.begin() as db:
                ids = (await db.scalars(_NEW_IDS, {"count": 2 * len(rows)})).all()
                if await update_load(db, running.id, (LoadState.CHECKING,), rows_done=done) is None:
                    raise LoadCanceled
            yield await asyncio.to_thread(stage_rows, worker.cipher, rows, ids)


async def _combine_batches(batches: AsyncIterator[list[CellRow]]) -> AsyncIterator[list[CellRow]]:
    """Yield the same rows in batches of at least READ_ROWS."""
    combined: list[CellRow] = []
    async for rows in batches:
        combined += rows
        if len(combined) >= READ_ROWS:
            yield combined
            combined = []
    if combined:
        yield combined


_NEW_IDS = text("SELECT uuidv7() FROM generate_series(1, :count)")


async def load_orgs(worker: Worker, payload: Payload) -> None:
    """Create the orgs of a confirmed load.

    If the outcome of a row has changed since the preview, nothing is created: the load returns to the state `ready`
    with a new preview. Raises Busy if another load is worked on, or if an org got the name of a sibling meanwhile.
    """
    load_id = UUID(payload["load_id"])
    async with _lock_loads(worker.engine):
        async with worker.engine.begin() as db:
            running = await update_load(db, load_id, (LoadState.LOADING,))
            if running is None and (running := await _start_loading(db, load_id)) is None:
                return
        with suppress(LoadCanceled), on_constraint(*((name, Busy) for name, _ in EDGE_ERRORS)):
            while await _load_batch(worker, running):
                pass


_NOT_CREATED = OrgLoad.present + OrgLoad.refused


async def _start_loading(db: AsyncConnection, load_id: UUID) -> RunningLoad | None:
    """Set a confirmed load to the state `loading` and return it. Return None if it is not confirmed, or if its preview
    is out of date."""
    running = await update_load(db, load_id, (LoadState.CONFIRMED,), state=LoadState.LOADING, rows_done=_NOT_CREATED)
    if running is None:
        return None
    await loading_table.load_stored_rows(db, load_id)
    await outcomes.decide_outcomes(db)
    if not await outcomes.update_stored_rows(db, load_id):
        return running
    counts = await outcomes.count_outcomes(db)
    values = {"state": LoadState.READY, "preview": OrgLoad.preview + 1, "rows_done": counts.rows_total}
    await update_load(db, load_id, (LoadState.LOADING,), **values, **counts._asdict())
    return None


async def _load_batch(worker: Worker, running: RunningLoad) -> bool:
    """Create the orgs of the next rows. Return whether there were any; without any, the load is done."""
    async with worker.engine.begin() as db:
        done = await create_next_orgs(db, worker.cipher, running.id, running.created_by)
        values: dict[str, Any] = {
            "rows_done": OrgLoad.rows_done + done.created + done.refused,
            "created": OrgLoad.created + done.created,
            "to_create": OrgLoad.to_create - done.created - done.refused,
            "refused": OrgLoad.refused + done.refused,
        }
        is_over = not any(done)
        if is_over:
            values = {"state": LoadState.DONE, "rows_done": OrgLoad.rows_total, "finished_at": func.now()}
        if await update_load(db, running.id, (LoadState.LOADING,), **values) is None:
            raise LoadCanceled
        if is_over:
            await _record(db, running, "org_load.done")
    return not is_over


async def reverse_load(worker: Worker, payload: Payload) -> None:
    """Close the orgs of a load that are not in use. Raises Busy if another load is worked on."""
    load_id, user_id = UUID(payload["load_id"]), UUID(payload["user_id"])
    async with _lock_loads(worker.engine):
        closed: int | None = 0
        while closed is not None:
            async with worker.engine.begin() as db:
                closed = await close_next_orgs(db, load_id, user_id)
                values: dict[str, Any] = {"reversed": OrgLoad.reversed + (closed or 0)}
                if closed is None:
                    values = {"state": LoadState.REVERSED, "finished_at": func.now()}
                running = await update_load(db, load_id, (LoadState.REVERSING,), **values)
                if running is None:
                    return
                if closed is None:
                    await _record(db, running._replace(created_by=user_id), "org_load.reversed")


async def fail_load(worker: Worker, payload: Payload) -> None:
    """Mark the load as failed and delete its file. What it has created stays, and can be reversed."""
    load_id = UUID(payload["load_id"])
    working = (
        LoadState.UPLOADED,
        LoadState.CHECKING,
        LoadState.CONFIRMED,
        LoadState.LOADING,
        LoadState.REVERSING,
    )
    async with worker.engine.begin() as db:
        await update_load(db, load_id, working, state=LoadState.FAILED, finished_at=func.now())
        await files.delete_file(db, load_id)


async def update_load(
    db: AsyncConnection, load_id: UUID, states: Sequence[LoadState], **values: Any
) -> RunningLoad | None:
    """Set columns of a load that is in one of these states. Return it, or None if it is in another state."""
    statement = (
        update(OrgLoad)
        .where(OrgLoad.id == load_id, OrgLoad.state.in_(states))
        .values(values or {"state": OrgLoad.state})
        .returning(OrgLoad.id, OrgLoad.format, OrgLoad.created_by)
    )
    return await fetch_row(db, statement, RunningLoad)


async def _record(db: AsyncConnection, running: RunningLoad, action: str) -> None:
    await record(db, Actor(user_id=running.created_by), action, subject=("org_load", running.id))


@asynccontextmanager
async def _lock_loads(engine: AsyncEngine) -> AsyncIterator[None]:
    """Lock the loads, so that one of them is worked on at a time. Raises Busy if another one is."""
    async with engine.begin() as db:
        if not await try_lock(db, Lock.ORG_LOADS):
            raise Busy
        yield


JOBS: Mapping[str, Job] = {
    CHECK: Job(check_load, fail_load),
    LOAD: Job(load_orgs, fail_load),
    REVERSE: Job(reverse_load, fail_load),
}
