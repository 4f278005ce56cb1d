"""`xuezu load-orgs`: loading the orgs of an old system from a sheet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from app.core.settings import CannotStart

if TYPE_CHECKING:
    from app.org_loads.schemas import OrgLoadOut
    from app.queue.jobs import Payload, Worker

MAX_SHOWN = 50
WAIT_SECONDS = 1.0


def load_orgs(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The sheet: xlsx, xls, ods or csv.")],
    operator: Annotated[str, typer.Option(help="The phone of the platform operator who loads it.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the preview.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; load all rows that can be loaded.")] = False,
) -> None:
    """Load the orgs of an old system from a sheet: check it, show the preview, and create the orgs.

    It does the same as `POST /v1/operator/org-loads`, whose template has the columns. Exits with 1 if the sheet or one
    of its rows is refused.
    """
    from app.commands.configuration import read_settings_and_database
    from app.core.cipher import Cipher
    from app.database.db import create_engine
    from app.queue.jobs import Worker

    settings = read_settings_and_database()

    async def run() -> bool:
        worker = Worker(settings, create_engine(settings), Cipher(settings))
        try:
            return await _load_file(worker, file, operator, dry_run=dry_run, yes=yes)
        finally:
            await worker.engine.dispose()

    raise typer.Exit(0 if asyncio.run(run()) else 1)


async def _load_file(worker: Worker, file: Path, phone: str, *, dry_run: bool, yes: bool) -> bool:
    """Load the file as the operator with this phone. Return whether no row was refused."""
    from app.commands.auth import actor
    from app.org_loads import jobs, operations
    from app.web.errors import Problem

    user_id = await _find_operator(worker, phone)
    try:
        with file.open("rb") as content:
            async with worker.engine.begin() as db:
                load_id = await operations.create_load(db, worker.cipher, actor(), user_id, file.name, content)
        load = await _work(worker, load_id, jobs.check_load)
        await _show(worker, load)
        if load.state != "ready":
            return False
        if dry_run or not (load.to_create and (yes or typer.confirm(f"Create {load.to_create} orgs?"))):
            async with worker.engine.begin() as db:
                await operations.cancel_load(db, actor(), load_id)
            return load.refused == 0
        async with worker.engine.begin() as db:
            await operations.confirm_load(db, actor(), load_id, load.preview)
    except Problem as problem:
        raise CannotStart(f"The sheet is refused ({problem.slug}).") from None
    load = await _work(worker, load_id, jobs.load_orgs)
    await _show(worker, load)
    return load.state == "done" and load.refused == 0


async def _find_operator(worker: Worker, phone: str) -> UUID:
    from sqlalchemy import select

    from app.core.phones import PhoneRefused, normalize
    from app.schema.auth import Operator, User

    try:
        indexes = worker.cipher.list_phone_indexes(normalize(phone))
    except PhoneRefused as refused:
        raise CannotStart(f"That is not a mobile number ({refused.code}).") from None
    statement = select(User.id).join(Operator, Operator.user_id == User.id)
    async with worker.engine.connect() as db:
        user_id: UUID | None = await db.scalar(
            statement.where(User.phone_index.in_(indexes), Operator.removed_at.is_(None))
        )
    if user_id is None:
        raise CannotStart("No operator has this phone: see `xuezu operators list`.")
    return user_id


async def _work(worker: Worker, load_id: UUID, job: Callable[[Worker, Payload], Awaitable[None]]) -> OrgLoadOut:
    """Do the job here, or wait while a worker does it. Return the load afterwards."""
    from app.org_loads import queries
    from app.org_loads.schemas import FINISHED_STATES, LoadState
    from app.queue.jobs import Busy

    while True:
        try:
            await job(worker, {"load_id": str(load_id)})
        except Busy:
            await asyncio.sleep(WAIT_SECONDS)
        async with worker.engine.connect() as db:
            load = await queries.get_load(db, load_id)
        if load.state in {LoadState.READY, *FINISHED_STATES}:
            return load


async def _show(worker: Worker, load: OrgLoadOut) -> None:
    """Print the counts of a load and its first refused rows."""
    from app.database.paging import Paging
    from app.org_loads import queries
    from app.org_loads.schemas import LoadRowOutcome

    if load.refusal is not None:
        typer.echo(f"The sheet is refused ({load.refusal.code}): {load.refusal.title}")
        return
    counts = f"{load.to_create} to create, {load.created} created, {load.present} present, {load.refused} refused"
    typer.echo(f"{load.id} {load.state}: {load.rows_total} rows, {counts}")
    async with worker.engine.connect() as db:
        refused = await queries.list_rows(db, load.id, LoadRowOutcome.REFUSED, Paging(MAX_SHOWN, None))
    for row in refused.items:
        typer.echo(f"row {row.row_no}: {', '.join(problem.code for problem in row.problems)}")
    if refused.next_cursor is not None:
        typer.echo(f"… see GET /v1/operator/org-loads/{load.id}/refused-rows.xlsx")
