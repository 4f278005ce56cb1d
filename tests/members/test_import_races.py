"""Imports with concurrent operations: edits by hand during a merge, other imports, other orgs (S9)."""

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
from tests.members.sheets import Work, check, list_members, read, rows_of, upload, xlsx
from tests.people import People, Person, fresh_name, fresh_phone

Meanwhile = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.fixture
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture
async def org_id(admin: Person) -> str:
    return str((await admin.create_org())["id"])


@pytest.fixture
def before_merge(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Run an act once, after a merge has decided the outcomes and before it writes."""
    return lambda act: _run_once(monkeypatch, act, before=True)


@pytest.fixture
def after_merge(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Run an act once, after a merge has written everything and before it commits."""
    return lambda act: _run_once(monkeypatch, act, before=False)


def _run_once(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Awaitable[None]], *, before: bool) -> None:
    merge_people, acts = merge.merge_people, [act]

    async def wrapped(*arguments: Any, **options: Any) -> None:
        if before and acts:
            await acts.pop()()
        await merge_people(*arguments, **options)
        if not before and acts:
            await acts.pop()()

    monkeypatch.setattr(merge, "merge_people", wrapped)
    monkeypatch.setattr(working, "POLL_INTERVAL", timedelta(milliseconds=200))


async def confirm(admin: Person, org_id: str, import_id: str) -> None:
    body = {"preview": (await read(admin, org_id, import_id))["preview"]}
    answer = await admin.put(f"/v1/orgs/{org_id}/imports/{import_id}/confirmation", json=body)
    assert answer.status_code == 202, answer.text


async def create_unit(admin: Person, org_id: str, name: str) -> str:
    created = await admin.post(f"/v1/orgs/{org_id}/units", json={"name": name})
    assert created.status_code == 201, created.text
    return str(created.json()["id"])


async def test_person_added_by_hand_before_the_merge_is_unchanged(
    admin: Person, org_id: str, worker: Work, before_merge: Meanwhile
) -> None:
    branch = await create_unit(admin, org_id, "甲")
    both, other = (fresh_name(), fresh_phone()), (fresh_name(), fresh_phone())
    checked = await check(admin, org_id, worker, xlsx([(*both, "甲"), (*other, "甲")]))
    assert checked["counts"]["added"] == 2

    async def add() -> None:
        body = {"name": both[0], "phone": both[1], "unit_ids": [branch]}
        assert (await admin.post(f"/v1/orgs/{org_id}/members", json=body)).status_code == 201

    before_merge(add)
    await confirm(admin, org_id, checked["id"])
    await worker()
    done = await read(admin, org_id, checked["id"])
    assert (done["state"], done["counts"]["added"], done["counts"]["unchanged"]) == ("done", 1, 1)
    assert [row["outcome"] for row in await rows_of(admin, org_id, checked["id"])] == ["unchanged", "added"]
    assert len(await list_members(admin, org_id)) == 3


@pytest.mark.parametrize("seen", [True, False])
async def test_edit_before_the_merge_is_not_overwritten(
    admin: Person, org_id: str, worker: Work, before_merge: Meanwhile, seen: bool
) -> None:
    first = await create_unit(admin, org_id, "甲")
    second = await create_unit(admin, org_id, "乙")
    body = {"name": fresh_name(), "phone": fresh_phone(), "unit_ids": [first]}
    member = (await admin.post(f"/v1/orgs/{org_id}/members", json=body)).json()
    checked = await check(admin, org_id, worker, xlsx([(body["name"], body["phone"], "乙")]))
    assert checked["counts"]["moved"] == 1
    path = f"/v1/orgs/{org_id}/members/{member['id']}"

    async def edit() -> None:
        if seen:  # the change of units is still what the preview shows
            answer = await admin.patch(path, json={"post": "书记"})
        else:
            answer = await admin.put(f"{path}/units", json={"unit_ids": [first, second]})
        assert answer.status_code == 200, answer.text

    before_merge(edit)
    await confirm(admin, org_id, checked["id"])
    await worker()
    found = (await admin.get(path)).json()
    done = await read(admin, org_id, checked["id"])
    units = sorted(unit["name"] for unit in found["units"])
    if seen:
        assert (done["state"], found["post"], units) == ("done", "书记", ["乙"])
    else:
        assert (done["state"], done["counts"]["unchanged"], units) == ("done", 1, ["乙", "甲"])


async def test_person_added_by_hand_before_the_merge_commits_is_refused(
    admin: Person, org_id: str, worker: Work, after_merge: Meanwhile
) -> None:
    branch = await create_unit(admin, org_id, "甲")
    person = (fresh_name(), fresh_phone())
    checked = await check(admin, org_id, worker, xlsx([(*person, "甲")]))
    body = {"name": person[0], "phone": person[1], "unit_ids": [branch]}
    waiting: list[asyncio.Task[Any]] = []

    async def begin() -> None:
        waiting.append(asyncio.create_task(admin.post(f"/v1/orgs/{org_id}/members", json=body)))
        waiting.append(asyncio.create_task(admin.delete(f"/v1/orgs/{org_id}/units/{branch}")))
        await asyncio.wait(waiting, timeout=0.2)
        assert not any(task.done() for task in waiting)

    after_merge(begin)
    await confirm(admin, org_id, checked["id"])
    await worker()
    added, removed = [await task for task in waiting]
    assert (added.status_code, added.json()["type"]) == (409, "/problems/phone-exists")
    assert removed.status_code == 409
    assert (await read(admin, org_id, checked["id"]))["counts"]["added"] == 1
    assert len(await list_members(admin, org_id)) == 2


async def test_person_registered_before_the_merge_commits_is_active_after_worker_failure(
    admin: Person, org_id: str, worker: Work, people: People, after_merge: Meanwhile, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, phone = fresh_name(), fresh_phone()
    checked = await check(admin, org_id, worker, xlsx([(name, phone, "甲")]), unknown_units="create")
    activate_committed_rows = activation.activate_committed_rows
    failures = [RuntimeError("a failure after the merge had committed")]

    async def register() -> None:
        await people.register(phone=phone, name=name)

    async def fail_once(*arguments: Any) -> None:
        if failures:
            raise failures.pop()
        await activate_committed_rows(*arguments)

    monkeypatch.setattr(activation, "activate_committed_rows", fail_once)
    after_merge(register)
    await confirm(admin, org_id, checked["id"])
    await worker()
    assert not failures
    assert (await read(admin, org_id, checked["id"]))["state"] == "done"
    (member,) = await list_members(admin, org_id, q=name)
    assert member["active"] is True


@pytest.mark.parametrize("unknown", ["refuse", "create"])
async def test_unit_removed_after_the_preview_is_refused_or_created(
    admin: Person, org_id: str, worker: Work, unknown: str
) -> None:
    branch = await create_unit(admin, org_id, "甲")
    await create_unit(admin, org_id, "乙")
    checked = await check(
        admin,
        org_id,
        worker,
        xlsx([(fresh_name(), fresh_phone(), "甲"), (fresh_name(), fresh_phone(), "乙")]),
        unknown_units=unknown,
    )
    assert (checked["counts"]["added"], checked["new_units"]) == (2, [])
    assert (await admin.delete(f"/v1/orgs/{org_id}/units/{branch}")).status_code == 204
    path = f"/v1/orgs/{org_id}/imports/{checked['id']}/confirmation"
    answer = await admin.put(path, json={"preview": 1})
    assert answer.status_code == (202 if unknown == "refuse" else 409), answer.text
    await worker()
    done = await read(admin, org_id, checked["id"])
    rows = await rows_of(admin, org_id, checked["id"])
    if unknown == "refuse":
        assert (done["counts"]["added"], done["counts"]["refused"]) == (1, 1)
        assert [[code["code"] for code in row["problems"]] for row in rows] == [["unit-unknown"], []]
    else:
        # The preview did not show that the unit is created again.
        assert (done["state"], done["preview"], done["new_units"]) == ("ready", 2, ["甲"])
        await confirm(admin, org_id, checked["id"])
        await worker()
        done = await read(admin, org_id, checked["id"])
        rows = await rows_of(admin, org_id, checked["id"])
        assert (done["counts"]["added"], done["new_units"]) == (2, ["甲"])
        assert [row["outcome"] for row in rows] == ["added", "added"]


async def test_second_import_of_an_org_is_put_back_while_one_runs(
    admin: Person, org_id: str, worker: Work, settings: Settings, engine: AsyncEngine, before_merge: Meanwhile
) -> None:
    first, second = [
        await check(admin, org_id, worker, xlsx([(fresh_name(), fresh_phone(), "甲")]), unknown_units="create")
        for _ in range(2)
    ]
    third = (await upload(admin, org_id, xlsx([(fresh_name(), fresh_phone(), "甲")]))).json()
    await confirm(admin, org_id, second["id"])
    other_worker = Worker(settings, engine, Cipher(settings))

    async def try_others() -> None:
        for job, other in ((jobs.merge_import, second), (jobs.check_import, third)):
            with pytest.raises(Busy):
                await job(other_worker, {"org_id": org_id, "import_id": other["id"]})
        assert (await read(admin, org_id, second["id"]))["state"] == "confirmed"

    before_merge(try_others)
    await confirm(admin, org_id, first["id"])
    await jobs.merge_import(other_worker, {"org_id": org_id, "import_id": first["id"]})
    await jobs.merge_import(other_worker, {"org_id": org_id, "import_id": second["id"]})
    assert len(await list_members(admin, org_id)) == 3
    await worker()


async def test_small_import_does_not_wait_for_large_imports_of_other_orgs(
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
        await confirm(admin, org_id, import_id)
    await worker()
    ended: dict[UUID, datetime] = {
        row.id: row.finished_at
        for row in await db.execute(
            text("SELECT id, finished_at FROM imports WHERE id = ANY(:ids) AND state = 'done'"),
            {"ids": [UUID(import_id) for import_id in imports]},
        )
    }
    assert len(ended) == 8
    earlier = [import_id for import_id in imports[:-1] if ended[UUID(import_id)] < ended[UUID(imports[-1])]]
    assert len(earlier) <= 2  # the small import was the last of eight
