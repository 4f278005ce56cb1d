"""Concurrent operations on one phone or one row: exactly one outcome, and never a 5xx."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.members.activation import lock_accounts_and_phones
from tests.acts import Json, add_member, get_body, get_refusal
from tests.people import People, Person, fresh_phone

ROUNDS = 4


@pytest.fixture(scope="module")
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture(scope="module")
async def org(admin: Person) -> Json:
    return await admin.create_org()


def get_member_path(org: Json, member: Json, more: str = "") -> str:
    return f"/v1/orgs/{org['id']}/members/{member['id']}{more}"


async def count_live_rows(db: AsyncConnection, org: Json, member: Json) -> int:
    """Return the number of live rows of the org that have the phone of this row."""
    statement = """
        SELECT count(*) FROM members WHERE org_id = :org AND removed_at IS NULL
            AND phone_index = (SELECT phone_index FROM members WHERE org_id = :org AND id = :id)
    """
    return int(await db.scalar(text(statement), {"org": org["id"], "id": member["id"]}) or 0)


async def test_concurrent_registration_and_addition_link_the_row(admin: Person, org: Json, people: People) -> None:
    """The second operation sees the first: the row is active exactly if the names agree."""
    for _ in range(ROUNDS):
        phone = fresh_phone()
        body = {"name": "甲", "phone": phone}
        added, person = await asyncio.gather(
            admin.post(f"/v1/orgs/{org['id']}/members", json=body), people.register(phone=phone, verified=False)
        )
        member = get_body(added, 201)
        assert get_body(await admin.get(get_member_path(org, member)))["active"] is True
        renamed, _ = await asyncio.gather(
            admin.patch(get_member_path(org, member), json={"name": person.name}), people.verify(person)
        )
        assert renamed.status_code == 200, renamed.text
        assert get_body(await admin.get(get_member_path(org, member)))["active"] is True
        undone, _ = await asyncio.gather(
            admin.patch(get_member_path(org, member), json={"name": "别人"}),
            admin.post(get_member_path(org, member, "/phone-disclosures")),
        )
        assert get_body(undone)["active"] is False


async def test_edit_waits_for_the_phone_lock_without_a_row_lock(
    admin: Person, org: Json, people: People, engine: AsyncEngine
) -> None:
    """An edit and an account change both lock the account first and the row last, so they cannot deadlock."""
    person = await people.register()
    member = await add_member(admin, org, name=person.name, phone=person.phone)
    async with engine.connect() as locking, locking.begin():
        index = await locking.scalar(text("SELECT phone_index FROM members WHERE id = :id"), {"id": member["id"]})
        await lock_accounts_and_phones(locking, index)
        renaming = asyncio.create_task(admin.patch(get_member_path(org, member), json={"name": "改名"}))
        # The edit waits for the phone without a lock on the row, so the other transaction can lock the row.
        await asyncio.wait({renaming}, timeout=0.3)
        assert not renaming.done()
        await locking.execute(text("SELECT FROM members WHERE id = :id FOR UPDATE NOWAIT"), {"id": member["id"]})
    assert (await renaming).status_code == 200


async def test_concurrent_restoration_and_addition_create_one_live_row(
    admin: Person, org: Json, db: AsyncConnection
) -> None:
    for _ in range(ROUNDS):
        phone = fresh_phone()
        member = await add_member(admin, org, phone=phone)
        get_body(await admin.delete(get_member_path(org, member)), 204)
        restored, added = await asyncio.gather(
            admin.post(get_member_path(org, member, "/restorations")),
            admin.post(f"/v1/orgs/{org['id']}/members", json={"name": "新人", "phone": phone}),
        )
        assert {restored.status_code, added.status_code} == {201, 409}
        assert get_refusal(restored if restored.status_code == 409 else added) == (409, "phone-exists")
        assert await count_live_rows(db, org, member) == 1


async def test_concurrent_phone_changes_to_one_phone_succeed_once(
    admin: Person, org: Json, db: AsyncConnection
) -> None:
    for _ in range(ROUNDS):
        rows = [await add_member(admin, org) for _ in range(2)]
        phone = {"phone": fresh_phone()}
        answers = await asyncio.gather(*(admin.patch(get_member_path(org, row), json=phone) for row in rows))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        (winner,) = [row for row, answer in zip(rows, answers, strict=True) if answer.status_code == 200]
        assert await count_live_rows(db, org, winner) == 1


async def test_concurrent_phone_exchange_is_refused_without_deadlock(admin: Person, org: Json) -> None:
    for _ in range(ROUNDS):
        phones = [fresh_phone(), fresh_phone()]
        rows = [await add_member(admin, org, phone=phone) for phone in phones]
        answers = await asyncio.gather(
            *(admin.patch(get_member_path(org, row), json={"phone": phones[1 - n]}) for n, row in enumerate(rows))
        )
        assert [answer.status_code for answer in answers] == [409, 409]


async def test_concurrent_removal_and_edit_leave_no_membership(admin: Person, org: Json, db: AsyncConnection) -> None:
    """At the end the row is removed and has no membership. A late operation answers 404."""
    unit = get_body(await admin.post(f"/v1/orgs/{org['id']}/units", json={"name": "一支部"}), 201)
    edits: list[tuple[str, str, dict[str, Any] | None]] = [
        ("PATCH", "", {"name": "改名"}),
        ("PUT", "/units", {"unit_ids": [unit["id"]]}),
        ("POST", "/copies", {"unit_id": unit["id"]}),
        ("POST", "/phone-disclosures", None),
        ("DELETE", "", None),
    ]
    for method, path, body in edits:
        member = await add_member(admin, org)
        removed, other = await asyncio.gather(
            admin.delete(get_member_path(org, member)),
            admin.request(method, get_member_path(org, member, path), json=body),
        )
        codes = {removed.status_code, other.status_code}
        assert codes == {204, 404} if method == "DELETE" else removed.status_code == 204
        assert other.status_code in (200, 201, 204, 404), other.text
        memberships = "SELECT count(*) FROM unit_memberships WHERE member_id = :id AND until IS NULL"
        assert await db.scalar(text(memberships), {"id": member["id"]}) == 0
        assert (await admin.get(get_member_path(org, member))).status_code == 404
