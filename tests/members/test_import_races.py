"""Imports beside everything else: edits by hand while one merges, other imports, other orgs (S9)."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.cipher import Cipher
from app.core.settings import Settings
from app.members import activation
from app.members.imports import jobs, merge, operations
from app.queue.jobs import Busy, Worker
from app.worker import worker as working
from tests.members.sheets import Work, check, members_of, read, rows_of, upload, xlsx
from tests.people import People, Person, fresh_name, fresh_phone

Meanwhile = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.fixture
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture
async def org_id(admin: Person) -> str:
    return str((await admin.create_org())["id"])


@pytest.fixture
def before_merging(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Have something happen once, when a merge has decided on everybody and written nothing."""
    return lambda act: _once(monkeypatch, act, before=True)


@pytest.fixture
def after_merging(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Have something happen once, when a merge has written everybody and committed nothing."""
    return lambda act: _once(monkeypatch, act, before=False)


def _once(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Awaitable[None]], *, before: bool) -> None:
    merge_people, acts = merge.merge_people, [act]

    async def wrapped(*arguments: Any, **options: Any) -> None:
        if before and acts:
            await acts.pop()()
        await merge_people(*arguments, **options)
        if not before and acts:
            await acts.pop()()

    monkeypatch.setattr(merge, "merge_people", wrapped)
    monkeypatch.setattr(working, "POLL_INTERVAL", timedelta(milliseconds=200))


async def confirmed(admin: Person, org_id: str, import_id: str) -> None:
    answer = await admin.put(f"/v1/orgs/{org_id}/imports/{import_id}/confirmation", json={})
    assert answer.status_code == 202, answer.text


async def unit(admin: Person, org_id: str, name: str) -> str:
    made = await admin.post(f"/v1/orgs/{org_id}/units", json={"name": name})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def test_somebody_added_by_hand_before_the_merge_writes_is_found_by_it(
    admin: Person, org_id: str, worker: Work, before_merging: Meanwhile
) -> None:
    branch = await unit(admin, org_id, "甲")
    both, other = (fresh_name(), fresh_phone()), (fresh_name(), fresh_phone())
    checked = await check(admin, org_id, worker, xlsx([(*both, "甲"), (*other, "甲")]))
    assert checked["counts"]["added"] == 2

    async def add() -> None:
        body = {"name": both[0], "phone": both[1], "unit_ids": [branch]}
        assert (await admin.post(f"/v1/orgs/{org_id}/members", json=body)).status_code == 201

    before_merging(add)
    await confirmed(admin, org_id, checked["id"])
    await worker()
    done = await read(admin, org_id, checked["id"])
    assert (done["state"], done["counts"]["added"], done["counts"]["unchanged"]) == ("done", 1, 1)
    assert [row["outcome"] for row in await rows_of(admin, org_id, checked["id"])] == ["unchanged", "added"]
    assert len(await members_of(admin, org_id)) == 3


async def test_somebody_added_by_hand_while_the_merge_is_about_to_commit_exists(
    admin: Person, org_id: str, worker: Work, after_merging: Meanwhile
) -> None:
    branch = await unit(admin, org_id, "甲")
    person = (fresh_name(), fresh_phone())
    checked = await check(admin, org_id, worker, xlsx([(*person, "甲")]))
    body = {"name": person[0], "phone": person[1], "unit_ids": [branch]}
    waiting: list[asyncio.Task[Any]] = []

    async def begin() -> None:
        waiting.append(asyncio.create_task(admin.post(f"/v1/orgs/{org_id}/members", json=body)))
        waiting.append(asyncio.create_task(admin.delete(f"/v1/orgs/{org_id}/units/{branch}")))
        await asyncio.wait(waiting, timeout=0.2)
        assert not any(task.done() for task in waiting)

    after_merging(begin)
    await confirmed(admin, org_id, checked["id"])
    await worker()
    added, removed = [await task for task in waiting]
    assert (added.status_code, added.json()["type"]) == (409, "/problems/phone-exists")
    assert removed.status_code == 409
    assert (await read(admin, org_id, checked["id"]))["counts"]["added"] == 1
    assert len(await members_of(admin, org_id)) == 2


async def test_who_registers_while_the_merge_is_about_to_commit_is_active_even_where_the_worker_dies_then(
    admin: Person, org_id: str, worker: Work, people: People, after_merging: Meanwhile, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, phone = fresh_name(), fresh_phone()
    checked = await check(admin, org_id, worker, xlsx([(name, phone, "甲")]), unknown_units="create")
    activate_committed_rows = activation.activate_committed_rows
    deaths = [ConnectionError("the worker stopped after the merge had committed")]

    async def register() -> None:
        await people.register(phone=phone, name=name)

    async def dies_once(*arguments: Any) -> None:
        if deaths:
            raise deaths.pop()
        await activate_committed_rows(*arguments)

    monkeypatch.setattr(activation, "activate_committed_rows", dies_once)
    after_merging(register)
    await confirmed(admin, org_id, checked["id"])
    await worker()
    assert not deaths
    assert (await read(admin, org_id, checked["id"]))["state"] == "done"
    (member,) = await members_of(admin, org_id, q=name)
    assert member["active"] is True


@pytest.mark.parametrize("unknown", ["refuse", "create"])
async def test_a_unit_removed_between_preview_and_merge(admin: Person, org_id: str, worker: Work, unknown: str) -> None:
    branch = await unit(admin, org_id, "甲")
    await unit(admin, org_id, "乙")
    checked = await check(
        admin,
        org_id,
        worker,
        xlsx([(fresh_name(), fresh_phone(), "甲"), (fresh_name(), fresh_phone(), "乙")]),
        unknown_units=unknown,
    )
    assert (checked["counts"]["added"], checked["new_units"]) == (2, [])
    assert (await admin.delete(f"/v1/orgs/{org_id}/units/{branch}")).status_code == 204
    await confirmed(admin, org_id, checked["id"])
    await worker()
    done = await read(admin, org_id, checked["id"])
    rows = await rows_of(admin, org_id, checked["id"])
    if unknown == "refuse":
        assert (done["counts"]["added"], done["counts"]["refused"]) == (1, 1)
        assert [[code["code"] for code in row["problems"]] for row in rows] == [["unit-unknown"], []]
    else:
        assert (done["counts"]["added"], done["new_units"]) == (2, ["甲"])
        assert [row["outcome"] for row in rows] == ["added", "added"]


async def test_one_import_of_an_org_merges_or_is_checked_at_a_time(
    admin: Person, org_id: str, worker: Work, settings: Settings, engine: AsyncEngine, before_merging: Meanwhile
) -> None:
    first, second = [
        await check(admin, org_id, worker, xlsx([(fresh_name(), fresh_phone(), "甲")]), unknown_units="create")
        for _ in range(2)
    ]
    third = (await upload(admin, org_id, xlsx([(fresh_name(), fresh_phone(), "甲")]))).json()
    await confirmed(admin, org_id, second["id"])
    beside = Worker(settings, engine, Cipher(settings))

    async def try_others() -> None:
        for job, other in ((jobs.merge_import, second), (jobs.check_import, third)):
            with pytest.raises(Busy):
                await job(beside, {"org_id": org_id, "import_id": other["id"]})
        assert (await read(admin, org_id, second["id"]))["state"] == "confirmed"

    before_merging(try_others)
    await confirmed(admin, org_id, first["id"])
    await jobs.merge_import(beside, {"org_id": org_id, "import_id": first["id"]})
    await jobs.merge_import(beside, {"org_id": org_id, "import_id": second["id"]})
    assert len(await members_of(admin, org_id)) == 3
    await worker()


async def test_a_small_import_does_not_wait_behind_the_large_ones_of_other_orgs(
    admin: Person, worker: Work, db: AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "LARGE_BYTES", 20 << 10)
    monkeypatch.setattr(operations, "LARGE_ROWS", 500)
    orgs, imports = [], []
    for rows in (*[1500] * 7, 50):
        org_id = str((await admin.create_org())["id"])
        sheet = xlsx([(fresh_name(), fresh_phone(), "甲") for _ in range(rows)])
        orgs.append(org_id)
        imports.append((await upload(admin, org_id, sheet, unknown_units="create")).json()["id"])
    await worker()
    for org_id, import_id in zip(orgs, imports, strict=True):
        await confirmed(admin, org_id, import_id)
    await worker()
    ended: dict[UUID, datetime] = {
        row.id: row.finished_at
        for row in await db.execute(
            text("SELECT id, finished_at FROM imports WHERE id = ANY(:ids) AND state = 'done'"),
            {"ids": [UUID(one) for one in imports]},
        )
    }
    assert len(ended) == 8
    earlier = [one for one in imports[:-1] if ended[UUID(one)] < ended[UUID(imports[-1])]]
    assert len(earlier) <= 2  # it was the last of eight
