"""The two jobs of an import: checking a sheet into rows that can be shown, and merging what was confirmed.

Either can be killed at any point and run again: checking begins anew, merging is one transaction. One org's imports
take turns, so that they neither interleave nor crowd out another org's.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit_log.entries import Actor, record
from app.blind_index.keys import BlindIndexer, lock_index_key
from app.core.cipher import Cipher
from app.database.db import on_constraint
from app.database.locks import Lock, try_lock
from app.database.rows import fetch_row
from app.members import activation
from app.members.imports import merge, staging
from app.members.imports.errors import SheetRefused, TooManyNewUnits
from app.members.imports.files import unseal_file
from app.members.imports.reader import SheetRow, read_sheet
from app.members.imports.rows import StagedRow, stage_rows
from app.orgs.names import Kind
from app.queue.jobs import Busy, Job, Payload, Worker
from app.schema.members import Import, ImportFile
from app.schema.orgs import Org
from app.web.forms import anonymous_file

CHECK, CHECK_LARGE = "check_import", "check_large_import"
MERGE, MERGE_LARGE = "merge_import", "merge_large_import"
# From so many bytes or rows on an import is a large one, and takes its turn with the large ones of other orgs.
LARGE_BYTES = 256 << 10
LARGE_ROWS = 5000

BATCH = 2000
# Replacing stops and asks where more people would leave than this many, or than this share of all.
BRAKE_PEOPLE = 50
BRAKE_SHARE = 0.2


class _Begun(NamedTuple):
    """What a job needs of its import."""

    id: UUID
    mode: str
    unknown_units: str
    format: str
    accepted_leaving: int | None
    created_by: UUID


class Cancelled(Exception):  # noqa: N818
    """Somebody cancelled the import meanwhile; what was done for it is undone."""


def needs_consent(leaving: int, people: int) -> bool:
    """Whether so many of so many may only be removed where somebody has said that number."""
    return leaving > BRAKE_PEOPLE or leaving > people * BRAKE_SHARE


async def check_import(worker: Worker, payload: Payload) -> None:
    """Read an uploaded sheet and keep its rows with what would become of each; the directory is only read."""
    org_id, import_id = UUID(payload["org_id"]), UUID(payload["import_id"])
    async with _turn(worker.engine, org_id):
        async with worker.engine.begin() as db:
            begun = await _advance(db, org_id, import_id, ("uploaded", "checking"), state="checking", rows_done=0)
        if begun is None:
            return
        with suppress(Cancelled):
            try:
                values = await _check(worker, org_id, begun)
            except SheetRefused as refused:
                values = {"state": "refused", "refusal": {"code": refused.slug, **refused.extra}}
            async with worker.engine.begin() as db:
                await _advance(db, org_id, import_id, ("checking",), **values)
                await _forget_file(db, org_id, import_id)


async def _check(worker: Worker, org_id: UUID, begun: _Begun) -> dict[str, Any]:
    async with worker.engine.begin() as db:
        indexer = await lock_index_key(db, worker.cipher)
        kind = await db.scalar(select(Org.kind).where(Org.id == org_id))
        with anonymous_file() as file:
            async for part in unseal_file(db, worker.cipher, org_id, begun.id):
                file.write(part)
            file.flush()
            file.seek(0)
            batches = _staged(worker, indexer, org_id, begun, file.fileno(), party_org=kind == Kind.PARTY)
            await staging.stage(db, batches)
        await staging.resolve_units(db, org_id, create_units=begun.unknown_units == "create")
        await staging.judge_people(db, org_id)
        counts = await staging.count_outcomes(db, org_id, begun.mode)
        if len(counts.new_units) > staging.MAX_NEW_UNITS:
            raise TooManyNewUnits(limit=staging.MAX_NEW_UNITS)
        await staging.keep_rows(db, org_id, begun.id)
    return {"state": "ready", "rows_done": counts.rows_total, **counts._asdict()}


async def _staged(
    worker: Worker, indexer: BlindIndexer, org_id: UUID, begun: _Begun, file: int, *, party_org: bool
) -> AsyncIterator[Sequence[StagedRow]]:
    """The sheet's rows as records, made in a thread; what was done so far is shown as it grows."""
    done = 0
    making: asyncio.Task[list[StagedRow]] | None = None
    try:
        async for rows in _in_larger_batches(read_sheet(begun.format, file)):
            async with worker.engine.begin() as db:
                ids = (await db.scalars(_NEW_IDS, {"count": len(rows)})).all()
                done += len(rows)
                if await _advance(db, org_id, begun.id, ("checking",), rows_done=done) is None:
                    raise Cancelled
            # One batch is read, one is made and one is written at the same time.
            before = making
            making = asyncio.create_task(asyncio.to_thread(stage_rows, indexer, org_id, party_org, rows, ids))
            if before is not None:
                yield await before
        if making is not None:
            yield await making
    finally:
        if making is not None:
            await asyncio.wait({making})


async def _in_larger_batches(batches: AsyncIterator[list[SheetRow]]) -> AsyncIterator[list[SheetRow]]:
    waiting: list[SheetRow] = []
    async for rows in batches:
        waiting += rows
        if len(waiting) >= BATCH:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


_NEW_IDS = text("SELECT uuidv7() FROM generate_series(1, :count)")


async def merge_import(worker: Worker, payload: Payload) -> None:
    """Write a confirmed import into the directory, all of it or nothing.

    Where a replacement would by now remove more people than was consented to, it goes back to be asked about.
    """
    org_id, import_id = UUID(payload["org_id"]), UUID(payload["import_id"])
    async with _turn(worker.engine, org_id):
        async with worker.engine.begin() as db:
            begun = await _advance(db, org_id, import_id, ("confirmed", "merging"), state="merging")
        # Who was added by hand since the merge looked is found when it looks again.
        with suppress(Cancelled), on_constraint(("members_org_id_phone_index_key", Busy)):
            if begun is not None:
                async with worker.engine.begin() as db:
                    await _merge(db, worker.cipher, org_id, begun)
        # Also where a worker was killed right after it had merged.
        which = {"org_id": org_id, "import_id": import_id}
        await activation.activate_committed_rows(worker.engine, worker.cipher, org_id, _WRITTEN, which)


_WRITTEN = """
SELECT DISTINCT member_id FROM import_rows
WHERE org_id = :org_id AND import_id = :import_id AND outcome IN ('added', 'changed')
"""


async def _merge(db: AsyncConnection, cipher: Cipher, org_id: UUID, begun: _Begun) -> None:
    kind = await merge.lock_org(db, org_id)
    if kind is None:
        await _finish(db, org_id, begun.id, {"state": "canceled"})
        return
    indexer = await lock_index_key(db, cipher)
    create, replace_all = begun.unknown_units == "create", begun.mode == "replace-all"
    await staging.stage_again(db, indexer, org_id, begun.id)
    await staging.resolve_units(db, org_id, create_units=create)
    await staging.judge_people(db, org_id)
    counts = await staging.count_outcomes(db, org_id, begun.mode)
    if needs_consent(counts.leaving, counts.people) and counts.leaving > (begun.accepted_leaving or 0):
        await _finish(db, org_id, begun.id, {"state": "ready", "accepted_leaving": None, **counts._asdict()})
        return
    if create and await merge.create_units(db, org_id):
        await staging.judge_people(db, org_id)
    await merge.merge_people(db, org_id, party_org=kind == Kind.PARTY, replace_all=replace_all)
    await staging.amend_rows(db, org_id, begun.id)
    await _finish(db, org_id, begun.id, {"state": "done", "finished_at": func.now(), **counts._asdict()})
    shown = ("added", "changed", "moved", "leaving", "unchanged", "refused", "new_units")
    after = {"mode": begun.mode, **{name: getattr(counts, name) for name in shown}}
    actor = Actor(user_id=begun.created_by)
    await record(db, actor, "import.merged", org_id=org_id, subject=("import", begun.id), after=after)


async def give_up(worker: Worker, payload: Payload) -> None:
    """The job has failed too often: say so, and keep nothing of the file."""
    org_id, import_id = UUID(payload["org_id"]), UUID(payload["import_id"])
    async with worker.engine.begin() as db:
        states = ("uploaded", "checking", "confirmed", "merging")
        await _advance(db, org_id, import_id, states, state="failed", finished_at=func.now())
        await _forget_file(db, org_id, import_id)


async def _finish(db: AsyncConnection, org_id: UUID, import_id: UUID, values: dict[str, Any]) -> None:
    if await _advance(db, org_id, import_id, ("merging",), **values) is None:
        raise Cancelled  # and the transaction rolls back


async def _advance(
    db: AsyncConnection, org_id: UUID, import_id: UUID, states: Sequence[str], **values: Any
) -> _Begun | None:
    """Set columns of an import that is in one of these states. Returns it, or None if it is in another."""
    statement = (
        update(Import)
        .where(Import.org_id == org_id, Import.id == import_id, Import.state.in_(states))
        .values(**values)
        .returning(
            Import.id, Import.mode, Import.unknown_units, Import.format, Import.accepted_leaving, Import.created_by
        )
    )
    return await fetch_row(db, statement, _Begun)


async def _forget_file(db: AsyncConnection, org_id: UUID, import_id: UUID) -> None:
    await db.execute(delete(ImportFile).where(ImportFile.org_id == org_id, ImportFile.import_id == import_id))


@asynccontextmanager
async def _turn(engine: AsyncEngine, org_id: UUID) -> AsyncIterator[None]:
    """The org's turn: one of its imports at a time. Raises Busy where another has it."""
    async with engine.begin() as db:
        if not await try_lock(db, Lock.IMPORTS, org_id):
            raise Busy
        yield


# Large ones leave room in every worker, so that an import of fifty rows does not wait behind one of a hundred thousand.
JOBS: Mapping[str, Job] = {
    CHECK: Job(check_import, give_up),
    CHECK_LARGE: Job(check_import, give_up, at_once=2),
    MERGE: Job(merge_import, give_up),
    MERGE_LARGE: Job(merge_import, give_up, at_once=1),
}
