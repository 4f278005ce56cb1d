"""Loads that are interrupted: a killed worker, a cancellation between two batches, the same load by two workers."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor
from app.commands.orgs import _load_file
from app.core.cipher import Cipher
from app.core.settings import CannotStart, Settings
from app.database.db import create_engine
from app.org_loads import batches, jobs, operations
from app.queue.jobs import Worker
from tests.acts import get_body, list_all
from tests.org_loads.loads import LOADS, Work, check, list_outcomes, make_csv, read, reverse
from tests.people import People, Person, fresh_org_name, fresh_phone


@pytest.fixture
async def jobs_worker(settings: Settings) -> AsyncIterator[Worker]:
    """What a job of the worker process uses."""
    engine = create_engine(settings)
    yield Worker(settings, engine, Cipher(settings))
    await engine.dispose()


@pytest.fixture
def one_row_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH_ROWS", 1)


async def check_and_confirm(operator: Person, worker: Work) -> tuple[dict[str, object], dict[str, str]]:
    """Check and confirm a load of three orgs under each other. Return it and the payload of its job."""
    top, middle = fresh_org_name(), fresh_org_name()
    load = await check(
        operator, worker, [(fresh_org_name(), "320102", middle), (middle, "320102", top), (top, "320100")]
    )
    get_body(await operator.put(f"{LOADS}/{load['id']}/confirmation", json={"preview": 1}), 202)
    return load, {"load_id": load["id"]}


class Killed(BaseException):
    """The worker process ends."""


@pytest.mark.usefixtures("one_row_a_batch")
async def test_load_goes_on_after_a_killed_worker(
    operator: Person, worker: Work, jobs_worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, payload = await check_and_confirm(operator, worker)
    create = batches.create_next_orgs
    calls = 0

    async def die(db: AsyncConnection, cipher: Cipher, load_id: UUID, user_id: UUID) -> batches.BatchResult:
        nonlocal calls
        calls += 1
        done = await create(db, cipher, load_id, user_id)
        if calls == 2:
            raise Killed
        return done

    monkeypatch.setattr(jobs, "create_next_orgs", die)
    with pytest.raises(Killed):
        await jobs.load_orgs(jobs_worker, payload)
    halfway = await read(operator, load)
    assert (halfway["state"], halfway["created"], halfway["to_create"]) == ("loading", 1, 2)
    assert await list_outcomes(operator, load) == {2: "create", 3: "create", 4: "created"}
    await worker()
    done = await read(operator, load)
    assert (done["state"], done["created"], done["rows_done"]) == ("done", 3, 3)


@pytest.mark.usefixtures("one_row_a_batch")
async def test_load_canceled_between_two_batches_stops_and_can_be_reversed(
    operator: Person, worker: Work, jobs_worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, payload = await check_and_confirm(operator, worker)
    create = batches.create_next_orgs
    calls = 0

    async def cancel(db: AsyncConnection, cipher: Cipher, load_id: UUID, user_id: UUID) -> batches.BatchResult:
        nonlocal calls
        calls += 1
        if calls == 3:
            async with jobs_worker.engine.begin() as other:
                await operations.cancel_load(other, Actor(), load_id)
        return await create(db, cipher, load_id, user_id)

    monkeypatch.setattr(jobs, "create_next_orgs", cancel)
    await jobs.load_orgs(jobs_worker, payload)
    await worker()
    canceled = await read(operator, load)
    assert (canceled["state"], canceled["created"], canceled["to_create"]) == ("canceled", 2, 1)
    reversed_load = await reverse(operator, worker, load)
    assert (reversed_load["state"], reversed_load["reversed"]) == ("reversed", 2)


async def test_chain_of_too_many_levels_is_refused(operator: Person, worker: Work) -> None:
    names = [fresh_org_name() for _ in range(40)]
    load = await check(
        operator, worker, [(name, "320102", above) for above, name in zip(["", *names], names, strict=False)]
    )
    outcomes = await list_outcomes(operator, load)
    assert (outcomes[31], outcomes[32], outcomes[41]) == ("create", ["superior-circle"], ["superior-circle"])


async def test_command_loads_a_sheet_as_the_operator(
    people: People, operator: Person, jobs_worker: Worker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    person = await people.register()
    top = await person.create_org(region_code="320100")
    sheet = tmp_path / "orgs.csv"
    await asyncio.to_thread(sheet.write_bytes, make_csv([(fresh_org_name(), "320102", top["id"]), ("", "1")]))
    path = f"/v1/orgs/{top['id']}/subordinates"
    assert await _load_file(jobs_worker, sheet, operator.phone, dry_run=True, yes=False) is False
    assert await list_all(person, path) == []
    assert "row 3: org-name-missing, unknown-region" in capsys.readouterr().out
    assert await _load_file(jobs_worker, sheet, operator.phone, dry_run=False, yes=True) is False
    assert len(await list_all(person, path)) == 1
    assert "1 created" in capsys.readouterr().out
    with pytest.raises(CannotStart, match="No operator"):
        await _load_file(jobs_worker, sheet, fresh_phone(), dry_run=True, yes=False)
