"""One's own account: changing the phone, closing for good (S20), and that nobody else can."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.acts import add_admin, add_member, done, list_all
from tests.auth.authenticator import prove_key, register_key
from tests.auth.operating import enrolled_operator
from tests.people import People, Person, fresh_id_number, fresh_phone


@pytest.fixture
async def person(people: People) -> Person:
    return await people.register(verified=False, party=False)


def refused(answer: httpx.Response, status: int, slug: str) -> bool:
    found: dict[str, Any] = answer.json()
    return (answer.status_code, found["type"]) == (status, f"/problems/{slug}")


async def received(api: httpx.AsyncClient, phone: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await api.get("/v1/simulator/sms", params={"phone": phone})).json()["items"]
    return items


async def change_code(person: Person, phone: str) -> str:
    assert (await person.post("/v1/me/phone-codes", json={"phone": phone})).status_code == 202
    return str((await received(person.api, phone))[0]["code"])


async def closing_code(person: Person) -> str:
    assert (await person.post("/v1/me/closing-codes")).status_code == 202
    return str((await received(person.api, person.phone))[0]["code"])


async def close(person: Person) -> None:
    closed = await person.put("/v1/me/closure", json={"code": await closing_code(person)})
    assert closed.status_code == 204, closed.text


# The phone


async def test_the_phone_is_changed_and_all_sessions_end(people: People, person: Person) -> None:
    new = fresh_phone()
    changed = await person.put("/v1/me/phone", json={"phone": new, "code": await change_code(person, new)})
    assert changed.status_code == 204, changed.text
    assert (await person.get("/v1/me")).status_code == 401
    assert (await people.register(phone=new, verified=False)).user_id == person.user_id
    assert (await people.register(phone=person.phone, verified=False)).user_id != person.user_id
    told = await received(people.api, person.phone)
    assert any("已更换手机号" in message["text"] for message in told)


async def test_a_wrong_code_changes_nothing_and_counts(person: Person) -> None:
    new = fresh_phone()
    code = await change_code(person, new)
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    for _ in range(5):
        answer = await person.put("/v1/me/phone", json={"phone": new, "code": wrong})
        assert refused(answer, 403, "code-refused")
    assert refused(await person.put("/v1/me/phone", json={"phone": new, "code": code}), 403, "code-refused")
    assert (await person.get("/v1/me")).json()["phone"] == person.phone


async def test_a_code_is_for_its_purpose_and_account(people: People, person: Person) -> None:
    new = fresh_phone()
    code = await change_code(person, new)
    other = await people.register(verified=False, party=False)
    assert refused(await other.put("/v1/me/phone", json={"phone": new, "code": code}), 403, "code-refused")
    form = {
        "grant_type": "urn:xuezu:params:oauth:grant-type:phone-code",
        "client_id": "xuezu-app",
        "phone": new,
        "code": code,
    }
    assert (await people.api.post("/oauth/token", data=form)).status_code == 400
    await people.api.post("/v1/phone-codes", json={"phone": new})
    sign_in = (await received(people.api, new))[0]["code"]
    if sign_in != code:
        answer = await person.put("/v1/me/phone", json={"phone": new, "code": sign_in})
        assert refused(answer, 403, "code-refused")


async def test_whose_account_is_closed_meanwhile_changes_no_phone(person: Person, engine: AsyncEngine) -> None:
    new = fresh_phone()
    body = {"phone": new, "code": await change_code(person, new)}
    closed = "UPDATE users SET status = 'closed', phone_index = NULL, phone_cipher = NULL WHERE id = :id"
    async with engine.begin() as closing:
        await closing.execute(text(closed), {"id": person.user_id})
        changing = asyncio.ensure_future(person.put("/v1/me/phone", json=body))
        await asyncio.wait({changing}, timeout=0.15)
        assert not changing.done()
    assert refused(await changing, 401, "unauthorized")


async def test_a_phone_with_an_account_is_not_taken_over(people: People, person: Person) -> None:
    other = await people.register(verified=False, party=False)
    code = await change_code(person, other.phone)
    answer = await person.put("/v1/me/phone", json={"phone": other.phone, "code": code})
    assert refused(answer, 409, "phone-taken")
    assert (await other.get("/v1/me")).json()["phone"] == other.phone


async def test_who_has_a_key_proves_it_first(person: Person) -> None:
    key = await register_key(person)
    new = fresh_phone()
    body = {"phone": new, "code": await change_code(person, new)}
    assert refused(await person.put("/v1/me/phone", json=body), 401, "security-key-needed")
    code = await closing_code(person)
    assert refused(await person.put("/v1/me/closure", json={"code": code}), 401, "security-key-needed")
    await prove_key(person, key)
    assert (await person.put("/v1/me/phone", json=body)).status_code == 204


async def test_member_rows_follow_the_phone(people: People) -> None:
    admin, person = await people.register(), await people.register(verified=False, party=False)
    org = await admin.create_org()
    body = {"name": "李随行", "phone": person.phone}
    made = await admin.post(f"/v1/orgs/{org['id']}/members", json=body)
    assert made.status_code == 201, made.text
    one = f"/v1/orgs/{org['id']}/members/{made.json()['id']}"
    assert (await admin.get(one)).json()["active"] is True
    new = fresh_phone()
    await person.put("/v1/me/phone", json={"phone": new, "code": await change_code(person, new)})
    assert (await admin.get(one)).json()["active"] is False


async def test_an_admin_who_changes_phone_stands_in_the_directory_as_before(people: People) -> None:
    main, clerk = await people.register(), await people.register()
    org = await main.create_org()
    await add_admin(main, org, clerk)
    path = f"/v1/orgs/{org['id']}/members"
    (row,) = [one for one in await list_all(main, path) if one["name"] == clerk.name]
    new = fresh_phone()
    colleague = await add_member(main, org, phone=new, name="同号者")
    changed = await clerk.put("/v1/me/phone", json={"phone": new, "code": await change_code(clerk, new)})
    assert changed.status_code == 204, changed.text
    # Whose row has the number now is somebody else, and no admin.
    done(await main.delete(f"{path}/{colleague['id']}"), 204)
    # Neither removed by the other admin nor taken over by who gets the number next.
    await people.register(phone=clerk.phone, name=clerk.name)
    assert done(await main.get(f"{path}/{row['id']}"))["active"]
    assert refused(await main.delete(f"{path}/{row['id']}"), 409, "member-is-admin")
    again = await people.register(phone=new, verified=False)
    assert org["id"] in {one["id"] for one in done(await again.get("/v1/me/orgs"))}
    done(await main.delete(f"/v1/orgs/{org['id']}/admins/{clerk.user_id}"), 204)
    assert done(await main.get(f"{path}/{row['id']}"))["active"]
    done(await main.delete(f"{path}/{row['id']}"), 204)


# Closing


async def test_a_closed_account_is_nobodys(people: People, db: AsyncConnection) -> None:
    person = await people.register(verified=False)
    number = fresh_id_number()
    await people.verify(person, number)
    await close(person)
    assert (await person.get("/v1/me")).status_code == 401
    form = {"grant_type": "refresh_token", "client_id": "xuezu-app", "refresh_token": person.refresh_token}
    assert (await people.api.post("/oauth/token", data=form)).status_code == 400
    row = (await db.execute(text("SELECT * FROM users WHERE id = :id"), {"id": person.user_id})).one()
    kept = {name for name, value in row._mapping.items() if value not in (None, False)}
    assert kept == {"id", "status", "created_at"}
    for table in ("verifications", "security_keys"):
        count = await db.scalar(text(f"SELECT count(*) FROM {table} WHERE user_id = :id"), {"id": person.user_id})
        assert count == 0
    anew = await people.register(phone=person.phone, verified=False)
    assert anew.user_id != person.user_id
    await people.verify(anew, number)
    assert (await anew.get("/v1/me")).json()["verified_name"] == anew.name


async def test_closing_needs_the_code(person: Person) -> None:
    code = await closing_code(person)
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    assert refused(await person.put("/v1/me/closure", json={"code": wrong}), 403, "code-refused")
    assert (await person.get("/v1/me")).status_code == 200


async def test_an_admin_resigns_first(people: People) -> None:
    person = await people.register()
    org = await person.create_org()
    answer = await person.put("/v1/me/closure", json={"code": await closing_code(person)})
    assert refused(answer, 409, "still-admin")
    assert (await person.get("/v1/me")).json()["verified_name"] == person.name
    # From a closed org nobody can resign any more: it holds nobody.
    assert (await person.put(f"/v1/orgs/{org['id']}/closure")).status_code in {200, 204}
    assert (await person.put("/v1/me/closure", json={"code": await closing_code(person)})).status_code == 204
    assert (await person.get("/v1/me")).status_code == 401


async def test_an_operator_is_removed_first(app: FastAPI, people: People) -> None:
    person = await enrolled_operator(app, people)
    answer = await person.put("/v1/me/closure", json={"code": await closing_code(person)})
    assert refused(answer, 409, "is-operator")


async def test_the_orgs_row_of_a_closed_account_turns_inactive(people: People) -> None:
    admin, person = await people.register(), await people.register(verified=False, party=False)
    org = await admin.create_org()
    made = await admin.post(f"/v1/orgs/{org['id']}/members", json={"name": "李随行", "phone": person.phone})
    one = f"/v1/orgs/{org['id']}/members/{made.json()['id']}"
    assert (await admin.get(one)).json()["active"] is True
    await close(person)
    shown = (await admin.get(one)).json()
    assert shown["active"] is False
    assert shown["name"] == "李随行"
