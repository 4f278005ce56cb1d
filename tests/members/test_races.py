"""What happens to one phone from two sides at once: one outcome, exactly, and never a 5xx."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.members.activation import lock_accounts_and_phones
from tests.acts import Json, add_member, done, refusal
from tests.people import People, Person, fresh_phone

ROUNDS = 4


@pytest.fixture(scope="module")
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture(scope="module")
async def org(admin: Person) -> Json:
    return await admin.create_org()


def at(org: Json, member: Json, more: str = "") -> str:
    return f"/v1/orgs/{org['id']}/members/{member['id']}{more}"


async def live(db: AsyncConnection, org: Json, member: Json) -> int:
    """How many live rows of the org have the phone that the row had."""
    statement = """
        SELECT count(*) FROM members WHERE org_id = :org AND removed_at IS NULL
            AND phone_index = (SELECT phone_index FROM members WHERE org_id = :org AND id = :id)
    """
    return int(await db.scalar(text(statement), {"org": org["id"], "id": member["id"]}) or 0)


async def test_registering_races_adding_and_renaming_the_row(admin: Person, org: Json, people: People) -> None:
    """Whoever comes second sees the first: the row is active where the names agree, and only there."""
    for _ in range(ROUNDS):
        phone = fresh_phone()
        body = {"name": "甲", "phone": phone}
        added, person = await asyncio.gather(
            admin.post(f"/v1/orgs/{org['id']}/members", json=body), people.register(phone=phone, verified=False)
        )
        member = done(added, 201)
        assert done(await admin.get(at(org, member)))["active"] is True
        renamed, _ = await asyncio.gather(
            admin.patch(at(org, member), json={"name": person.name}), people.verify(person)
        )
        assert renamed.status_code == 200, renamed.text
        assert done(await admin.get(at(org, member)))["active"] is True
        undone, _ = await asyncio.gather(
            admin.patch(at(org, member), json={"name": "别人"}), admin.post(at(org, member, "/phone-disclosures"))
        )
        assert done(undone)["active"] is False


async def test_who_edits_a_row_and_who_changes_its_account_take_turns(
    admin: Person, org: Json, people: People, engine: AsyncEngine
) -> None:
    """Both hold the account first and the row last: neither waits for the other while it is waited for."""
    person = await people.register()
    member = await add_member(admin, org, name=person.name, phone=person.phone)
    async with engine.connect() as held, held.begin():
        index = await held.scalar(text("SELECT phone_index FROM members WHERE id = :id"), {"id": member["id"]})
        await lock_accounts_and_phones(held, index)
        renaming = asyncio.create_task(admin.patch(at(org, member), json={"name": "改名"}))
        # It waits for the phone and does not hold the row meanwhile: whoever holds the phone gets at the row.
        await asyncio.wait({renaming}, timeout=0.3)
        assert not renaming.done()
        await held.execute(text("SELECT FROM members WHERE id = :id FOR UPDATE NOWAIT"), {"id": member["id"]})
    assert (await renaming).status_code == 200


async def test_restoring_races_adding(admin: Person, org: Json, db: AsyncConnection) -> None:
    for _ in range(ROUNDS):
        phone = fresh_phone()
        member = await add_member(admin, org, phone=phone)
        done(await admin.delete(at(org, member)), 204)
        restored, added = await asyncio.gather(
            admin.post(at(org, member, "/restorations")),
            admin.post(f"/v1/orgs/{org['id']}/members", json={"name": "新人", "phone": phone}),
        )
        assert {restored.status_code, added.status_code} == {201, 409}
        assert refusal(restored if restored.status_code == 409 else added) == (409, "phone-exists")
        assert await live(db, org, member) == 1


async def test_two_rows_take_one_phone_at_once(admin: Person, org: Json, db: AsyncConnection) -> None:
    for _ in range(ROUNDS):
        rows = [await add_member(admin, org) for _ in range(2)]
        phone = {"phone": fresh_phone()}
        answers = await asyncio.gather(*(admin.patch(at(org, row), json=phone) for row in rows))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        (winner,) = [row for row, answer in zip(rows, answers, strict=True) if answer.status_code == 200]
        assert await live(db, org, winner) == 1


async def test_two_rows_exchange_their_phones_without_a_deadlock(admin: Person, org: Json) -> None:
    for _ in range(ROUNDS):
        phones = [fresh_phone(), fresh_phone()]
        rows = [await add_member(admin, org, phone=phone) for phone in phones]
        answers = await asyncio.gather(
            *(admin.patch(at(org, row), json={"phone": phones[1 - n]}) for n, row in enumerate(rows))
        )
        assert [answer.status_code for answer in answers] == [409, 409]


async def test_removing_races_everything_done_to_the_row(admin: Person, org: Json, db: AsyncConnection) -> None:
    """The row is gone at the end and stands nowhere; what came too late found nothing."""
    unit = done(await admin.post(f"/v1/orgs/{org['id']}/units", json={"name": "一支部"}), 201)
    acts: list[tuple[str, str, dict[str, Any] | None]] = [
        ("PATCH", "", {"name": "改名"}),
        ("PUT", "/units", {"unit_ids": [unit["id"]]}),
        ("POST", "/copies", {"unit_id": unit["id"]}),
        ("POST", "/phone-disclosures", None),
        ("DELETE", "", None),
    ]
    for method, path, body in acts:
        member = await add_member(admin, org)
        removed, other = await asyncio.gather(
            admin.delete(at(org, member)), admin.request(method, at(org, member, path), json=body)
        )
        codes = {removed.status_code, other.status_code}
        assert codes == {204, 404} if method == "DELETE" else removed.status_code == 204
        assert other.status_code in (200, 201, 204, 404), other.text
        places = "SELECT count(*) FROM unit_memberships WHERE member_id = :id AND until IS NULL"
        assert await db.scalar(text(places), {"id": member["id"]}) == 0
        assert (await admin.get(at(org, member))).status_code == 404
