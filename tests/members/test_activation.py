"""Activation of rows by concurrent operations: each operation sees what the other has written (S18)."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.auth.accounts import accounts, registration
from app.auth.verification import verifications
from app.members import activation
from app.members.activation import activate_user
from app.members.imports import merge
from app.worker import worker as working
from tests.acts import Json, add_admin, add_member, add_unit, certify, get_body, get_refusal
from tests.auth.test_accounts import close_account, request_closure, request_phone_change
from tests.members.sheets import Work, check, list_members, read, xlsx
from tests.people import People, Person, fresh_org_name, fresh_phone

Operation = Callable[[], Awaitable[object]]


@pytest.fixture(scope="module")
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture(autouse=True)
def retry_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a job again without a delay when it raises Busy."""
    monkeypatch.setattr(working, "POLL_INTERVAL", timedelta(milliseconds=100))
    monkeypatch.setattr(working, "BUSY_PAUSE", timedelta())


class DelayedAccountChange:
    """A change of an account that has activated or deactivated the existing rows and commits only after a delay."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self._tasks: list[asyncio.Task[Any]] = []

    async def begin(self, operation: Operation) -> None:
        updated, proceed = asyncio.Event(), asyncio.Event()

        async def activate_and_wait(*arguments: Any) -> None:
            await activate_user(*arguments)
            updated.set()
            await proceed.wait()

        for module in (accounts, registration, verifications):
            self._patch.setattr(module, "activate_user", activate_and_wait)
        self._tasks.append(asyncio.ensure_future(operation()))
        await updated.wait()
        asyncio.get_running_loop().call_later(0.15, proceed.set)

    async def end(self) -> None:
        await asyncio.gather(*self._tasks)


@pytest.fixture
def delayed_change(monkeypatch: pytest.MonkeyPatch) -> DelayedAccountChange:
    return DelayedAccountChange(monkeypatch)


async def merge_with_operation(
    admin: Person,
    org: Json,
    worker: Work,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: Operation,
    *rows: Any,
    decisions: dict[str, list[int]] | None = None,
    **options: str,
) -> Json:
    """Merge a sheet, and run `meanwhile` after the outcomes are decided and before anything is written."""
    merge_people, pending = merge.merge_people, [meanwhile]

    async def wrapped(*arguments: Any, **given: Any) -> None:
        if pending:
            await pending.pop()()
        await merge_people(*arguments, **given)

    monkeypatch.setattr(merge, "merge_people", wrapped)
    checked = await check(admin, org["id"], worker, xlsx(rows), unknown_units="create", **options)
    path = f"/v1/orgs/{org['id']}/imports/{checked['id']}/confirmation"
    get_body(await admin.put(path, json={"preview": 1, "leaving": checked["counts"]["left"], **(decisions or {})}), 202)
    await worker()
    return await read(admin, org["id"], checked["id"])


@pytest.mark.parametrize("way", ["registers", "changes phone", "is verified by another name"])
async def test_account_written_during_merge_commit_updates_imported_row(
    people: People,
    admin: Person,
    worker: Work,
    monkeypatch: pytest.MonkeyPatch,
    delayed_change: DelayedAccountChange,
    way: str,
) -> None:
    org, phone = await admin.create_org(), fresh_phone()
    if way == "registers":
        operation: Operation = partial(people.register, phone=phone, verified=False, party=False)
    else:
        person = await people.register(phone=phone, verified=False, party=False)
        new = fresh_phone()
        body = await request_phone_change(person, new)
        operation = (
            (lambda: person.put("/v1/me/phone", json=body)) if way == "changes phone" else lambda: people.verify(person)
        )
    outcome = await merge_with_operation(
        admin, org, worker, monkeypatch, lambda: delayed_change.begin(operation), ("上官", phone, "一支部")
    )
    await delayed_change.end()
    await worker()
    assert outcome["counts"]["added"] == 1
    (member,) = await list_members(admin, org["id"], q="上官")
    assert member["active"] is (way == "registers")


@pytest.mark.parametrize("way", ["is removed", "gets another phone"])
async def test_member_without_the_phone_at_the_merge_is_replaced_by_new_member(
    admin: Person, worker: Work, monkeypatch: pytest.MonkeyPatch, db: AsyncConnection, way: str
) -> None:
    org, phone = await admin.create_org(), fresh_phone()
    unit = await add_unit(admin, org, "一支部")
    row = await add_member(admin, org, unit, name="旧名", phone=phone)
    path = f"/v1/orgs/{org['id']}/members/{row['id']}"
    new = {"phone": fresh_phone()}
    operation: Operation = (lambda: admin.delete(path)) if way == "is removed" else lambda: admin.patch(path, json=new)
    outcome = await merge_with_operation(
        admin,
        org,
        worker,
        monkeypatch,
        operation,
        ("新名", phone, "一支部"),
        mode="replace-all",
        decisions={"accepted_rows": [2]},
    )
    # Another person would now be added, and the row with another phone removed. The preview did not show that.
    left = 1 if way == "gets another phone" else 0
    assert (outcome["state"], outcome["preview"], outcome["counts"]["left"]) == ("ready", 2, left)
    confirmation = f"/v1/orgs/{org['id']}/imports/{outcome['id']}/confirmation"
    get_body(await admin.put(confirmation, json={"preview": 2, "leaving": left}), 202)
    await worker()
    outcome = await read(admin, org["id"], outcome["id"])
    assert (outcome["counts"]["added"], outcome["counts"]["changed"]) == (1, 0)
    assert [member["name"] for member in await list_members(admin, org["id"], q="名")] == ["新名"]
    memberships = "SELECT count(*) FROM unit_memberships WHERE member_id = :id AND until IS NULL"
    assert await db.scalar(text(memberships), {"id": row["id"]}) == 0


async def test_row_restored_after_registration_during_removal_is_active(
    people: People, admin: Person, worker: Work, monkeypatch: pytest.MonkeyPatch, delayed_change: DelayedAccountChange
) -> None:
    org, phone = await admin.create_org(), fresh_phone()
    unit = await add_unit(admin, org, "一支部")
    member = await add_member(admin, org, unit, phone=phone)
    operation: Operation = partial(people.register, phone=phone, verified=False, party=False)
    outcome = await merge_with_operation(
        admin,
        org,
        worker,
        monkeypatch,
        lambda: delayed_change.begin(operation),
        ("别人", fresh_phone(), "一支部"),
        mode="replace-all",
    )
    await delayed_change.end()
    assert outcome["counts"]["left"] == 1
    restored = get_body(await admin.post(f"/v1/orgs/{org['id']}/members/{member['id']}/restorations"), 201)
    assert restored["active"] is True


async def link_by_consent(admin: Person, org: Json, person: Person, *units: Json, phone: str | None = None) -> Json:
    """Add a row with another phone, and link it to the person's account by consent."""
    row = await add_member(admin, org, *units, name=person.name, phone=phone or fresh_phone())
    request = get_body(await person.post("/v1/me/link-requests", json={"org_id": org["id"]}), 201)
    path = f"/v1/orgs/{org['id']}/link-requests/{request['id']}/acceptance"
    linked: Json = get_body(await admin.put(path, json={"member_id": row["id"]}))
    return linked


async def test_link_undone_during_phone_change_leaves_no_row_of_old_phone_active(
    people: People, admin: Person, worker: Work, delayed_change: DelayedAccountChange
) -> None:
    org, person, new = await admin.create_org(), await people.register(), fresh_phone()
    linked = await link_by_consent(admin, org, person)
    own = await add_member(admin, org, name=person.name, phone=person.phone)
    body = await request_phone_change(person, new)
    await delayed_change.begin(lambda: person.put("/v1/me/phone", json=body))
    get_body(await admin.delete(f"/v1/orgs/{org['id']}/members/{linked['id']}/activation"), 204)
    await worker()
    await delayed_change.end()
    assert get_body(await admin.get(f"/v1/orgs/{org['id']}/members/{own['id']}"))["active"] is False


@pytest.mark.parametrize("way", ["changes phone", "closes"])
async def test_account_change_waits_for_the_lock_of_the_previous_phone(
    people: People, engine: AsyncEngine, way: str
) -> None:
    person, new = await people.register(verified=False, party=False), fresh_phone()
    if way == "changes phone":
        body = await request_phone_change(person, new)
        change = person.put("/v1/me/phone", json=body)
    else:
        change = person.put("/v1/me/closure", json=await request_closure(person))
    async with engine.begin() as locking:
        index = await locking.scalar(text("SELECT phone_index FROM users WHERE id = :id"), {"id": person.user_id})
        await activation.lock_phones(locking, index)  # as a transaction that waited for the registration
        task = asyncio.ensure_future(change)
        await asyncio.wait({task}, timeout=0.15)
        assert not task.done()
    assert (await task).status_code == 204


async def test_phone_change_and_removal_lock_the_row_before_the_activation(
    people: People, admin: Person, engine: AsyncEngine
) -> None:
    org, person, new = await admin.create_org(), await people.register(verified=False, party=False), fresh_phone()
    row = await add_member(admin, org, phone=person.phone)
    body = await request_phone_change(person, new)
    async with engine.begin() as removing:
        await removing.execute(text("SELECT FROM members WHERE id = :id FOR UPDATE"), {"id": row["id"]})
        task = asyncio.ensure_future(person.put("/v1/me/phone", json=body))
        await asyncio.wait({task}, timeout=0.15)
        assert not task.done()
        activation_of = "SELECT FROM activations WHERE member_id = :id FOR UPDATE NOWAIT"
        await removing.execute(text(activation_of), {"id": row["id"]})
    assert (await task).status_code == 204


async def test_second_row_of_an_account_becomes_active_after_the_first_has_left_the_org(
    people: People, admin: Person, worker: Work
) -> None:
    """The first row leaves by a transfer or with a promoted unit. An undone link remains undone after a transfer."""
    superior, other, person = await admin.create_org(), await admin.create_org(), await people.register()
    await certify(admin, superior, admin, other)
    first, second = [await add_unit(admin, superior, name) for name in ("一支部", "二支部")]
    await link_by_consent(admin, superior, person, first)
    own = await add_member(admin, superior, second, name=person.name, phone=person.phone)
    stranger = await people.register()
    undone = await add_member(admin, superior, second, name=stranger.name, phone=stranger.phone)
    get_body(await admin.delete(f"/v1/orgs/{superior['id']}/members/{undone['id']}/activation"), 204)

    async def transfer(row: Json, org: Json, to: Json) -> Json:
        path = f"/v1/orgs/{org['id']}/members/{row['id']}/transfers"
        request = get_body(await admin.post(path, json={"org_id": to["id"]}), 201)
        new_row: Json = get_body(await admin.put(f"/v1/orgs/{to['id']}/person-transfers/{request['id']}/acceptance"))
        return new_row

    async def promote(unit: Json) -> Json:
        body = {"unit_id": unit["id"], "name": fresh_org_name(), "to": {"phone": admin.phone}}
        offer = get_body(await admin.post(f"/v1/orgs/{superior['id']}/promotions", json=body), 201)
        org: Json = get_body(await admin.put(f"/v1/me/promotions/{offer['id']}/acceptance"))
        await worker()
        return org

    assert own["active"] is False
    assert (await transfer(own, superior, other))["active"] is True
    assert (await transfer(undone, superior, other))["inactive_reason"] == "unlinked"
    again = await add_member(admin, superior, second, name=person.name, phone=person.phone)
    assert again["active"] is False
    new = await promote(second)
    assert get_body(await admin.get(f"/v1/orgs/{new['id']}/members/{again['id']}"))["active"] is True
    last = await add_member(admin, superior, name=person.name, phone=person.phone)
    assert last["active"] is False
    await promote(first)
    assert get_body(await admin.get(f"/v1/orgs/{superior['id']}/members/{last['id']}"))["active"] is True


@pytest.mark.parametrize("way", ["unlinked", "closed"])
async def test_user_with_the_phone_is_linked_after_a_link_by_consent_has_ended(
    people: People, admin: Person, worker: Work, way: str
) -> None:
    org, person, phone = await admin.create_org(), await people.register(), fresh_phone()
    row = await link_by_consent(admin, org, person, phone=phone)
    await people.register(phone=phone, verified=False, party=False)
    path = f"/v1/orgs/{org['id']}/members/{row['id']}"
    if way == "unlinked":
        get_body(await admin.delete(f"{path}/activation"), 204)
    else:
        await close_account(person)
    assert get_body(await admin.get(path))["active"] is False
    await worker()
    assert get_body(await admin.get(path))["active"] is True


async def test_link_request_of_suspended_account_is_refused(people: People, admin: Person, db: AsyncConnection) -> None:
    org, person = await admin.create_org(), await people.register()
    row = await add_member(admin, org, name=person.name, phone=fresh_phone())
    request = get_body(await person.post("/v1/me/link-requests", json={"org_id": org["id"]}), 201)
    await db.execute(text("UPDATE users SET status = 'disabled' WHERE id = :id"), {"id": person.user_id})
    path = f"/v1/orgs/{org['id']}/link-requests/{request['id']}/acceptance"
    assert get_refusal(await admin.put(path, json={"member_id": row["id"]})) == (409, "no-candidate")


async def test_new_admin_is_linked_again_to_an_unlinked_row(people: People, admin: Person) -> None:
    org, person = await admin.create_org(), await people.register()
    row = await add_member(admin, org, name=person.name, phone=person.phone)
    path = f"/v1/orgs/{org['id']}/members/{row['id']}"
    get_body(await admin.delete(f"{path}/activation"), 204)
    await add_admin(admin, org, person)
    assert get_body(await admin.get(path))["active"] is True
    assert get_refusal(await admin.delete(path)) == (409, "member-is-admin")
