"""The user's own account: change of the phone, closure (S20), and refusals for other users."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit_log.entries import Actor
from app.auth.oauth.protocol import get_public_client
from app.auth.sessions import start_session
from app.authz.tokens import ISSUER
from app.database.db import ENGINE
from tests.acts import add_admin, add_member, get_body, list_all
from tests.auth.authenticator import SoftKey, prove_key, register_key, send_registration
from tests.auth.operator_accounts import create_operator
from tests.people import People, Person, fresh_id_card_number, fresh_phone
from tests.phone_codes import change_code, request_code


@pytest.fixture
async def person(people: People) -> Person:
    return await people.register(verified=False, party=False)


def is_refused(answer: httpx.Response, status: int, slug: str) -> bool:
    found: dict[str, Any] = answer.json()
    return (answer.status_code, found["type"]) == (status, f"/problems/{slug}")


async def list_messages(api: httpx.AsyncClient, phone: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await api.get("/v1/simulator/sms", params={"phone": phone})).json()["items"]
    return items


async def sign_in_console(app: FastAPI, person: Person) -> Person:
    """Start a session of the console, and return the person with its token."""
    actor = Actor(UUID(person.user_id), "xuezu-console", "127.0.0.1")
    async with ENGINE.get(app).begin() as db:
        client = await get_public_client(db, "xuezu-console")
        tokens = await start_session(
            db, ISSUER.get(app), actor, client, UUID(person.user_id), methods=["sms"], device=None
        )
    return replace(person, token=tokens.access_token)


async def _request_code(person: Person, path: str, phone: str, **options: Any) -> dict[str, str]:
    sent = await person.post(path, **options)
    assert sent.status_code == 202, sent.text
    return {"code": (await list_messages(person.api, phone))[0]["code"], "handle": sent.json()["handle"]}


async def request_change_code(person: Person, phone: str) -> dict[str, str]:
    """Request the code to the new phone. Return its fields of the body."""
    return await _request_code(person, "/v1/me/phone-codes", phone, json={"phone": phone})


async def request_old_phone_code(person: Person) -> dict[str, str]:
    """Request the code to the present phone. Return its fields of the body."""
    given = await _request_code(person, "/v1/me/old-phone-codes", person.phone)
    return {f"old_phone_{name}": value for name, value in given.items()}


async def request_phone_change(person: Person, phone: str) -> dict[str, str]:
    """Request both codes of a change of the phone. Return the body of the change."""
    code = await request_change_code(person, phone)
    return {"phone": phone} | code | await request_old_phone_code(person)


async def request_closure(person: Person) -> dict[str, str]:
    """Request the code that closes the account. Return the body of the closure."""
    return await _request_code(person, "/v1/me/closing-codes", person.phone)


async def close_account(person: Person) -> None:
    closed = await person.put("/v1/me/closure", json=await request_closure(person))
    assert closed.status_code == 204, closed.text


# The phone


async def test_phone_change_ends_all_sessions(people: People, person: Person) -> None:
    new = fresh_phone()
    changed = await person.put("/v1/me/phone", json=await request_phone_change(person, new))
    assert changed.status_code == 204, changed.text
    assert (await person.get("/v1/me")).status_code == 401
    assert (await people.register(phone=new, verified=False)).user_id == person.user_id
    assert (await people.register(phone=person.phone, verified=False)).user_id != person.user_id
    messages = await list_messages(people.api, person.phone)
    assert any("已更换手机号" in message["text"] for message in messages)


async def test_wrong_code_counts_and_changes_nothing(person: Person) -> None:
    new = fresh_phone()
    body = await request_phone_change(person, new)
    for field, slug in (("code", "code-refused"), ("old_phone_code", "old-phone-code-refused")):
        wrong = {field: f"{(int(body[field]) + 1) % 1_000_000:06d}"}
        for _ in range(5):
            assert is_refused(await person.put("/v1/me/phone", json=body | wrong), 403, slug)
        assert is_refused(await person.put("/v1/me/phone", json=body), 403, slug)
        body |= await request_change_code(person, new)
    assert (await person.get("/v1/me")).json()["phone"] == person.phone


async def test_mistyped_code_leaves_the_other_code_usable(person: Person) -> None:
    body = await request_phone_change(person, fresh_phone())
    for field in ("code", "old_phone_code"):
        wrong = {field: f"{(int(body[field]) + 1) % 1_000_000:06d}"}
        assert (await person.put("/v1/me/phone", json=body | wrong)).status_code == 403
    assert (await person.put("/v1/me/phone", json=body)).status_code == 204


async def test_code_to_the_new_phone_alone_changes_nothing(person: Person) -> None:
    """Neither the new phone's code nor a code that the present phone got for another purpose replaces the code."""
    new = fresh_phone()
    body = {"phone": new} | await request_change_code(person, new)
    for other in (body, await request_closure(person), await request_change_code(person, person.phone)):
        of_old = {"old_phone_code": other["code"], "old_phone_handle": other["handle"]}
        assert is_refused(await person.put("/v1/me/phone", json=body | of_old), 403, "old-phone-code-refused")
    assert (await person.put("/v1/me/phone", json=body)).status_code == 422


async def test_stolen_token_cannot_change_the_phone(
    app: FastAPI, people: People, person: Person, db: AsyncConnection
) -> None:
    """Not one of the console, nor one of a sign-in that is older than ten minutes; both codes do not help."""
    body = await request_phone_change(person, fresh_phone())
    console = await sign_in_console(app, person)
    assert is_refused(await console.put("/v1/me/phone", json=body), 403, "app-sign-in-needed")
    aged = text("UPDATE sessions SET created_at = created_at - interval '11 minutes' WHERE user_id = :id")
    await db.execute(aged, {"id": person.user_id})
    await person.refresh()
    refused = await person.put("/v1/me/phone", json=body)
    assert is_refused(refused, 401, "fresh-sign-in-needed")
    assert 'max_age="600"' in refused.headers["www-authenticate"]
    fresh = await people.register(phone=person.phone, verified=False, party=False)
    assert (await fresh.put("/v1/me/phone", json=body)).status_code == 204


async def test_key_proved_in_the_console_allows_the_phone_change(
    app: FastAPI, person: Person, db: AsyncConnection
) -> None:
    key = await register_key(person)
    body = await request_phone_change(person, fresh_phone())
    console = await sign_in_console(app, person)
    assert is_refused(await console.put("/v1/me/phone", json=body), 401, "security-key-needed")
    await prove_key(console, key)
    aged = text("UPDATE sessions SET key_checked_at = now() - interval '11 minutes' WHERE key_checked_at IS NOT NULL")
    await db.execute(aged)
    assert is_refused(await console.put("/v1/me/phone", json=body), 401, "security-key-needed")
    await prove_key(console, key)
    assert (await console.put("/v1/me/phone", json=body)).status_code == 204


async def test_code_of_another_purpose_or_account_is_refused(people: People, person: Person) -> None:
    new = fresh_phone()
    code = {"phone": new} | await request_change_code(person, new)
    other = await people.register(verified=False, party=False)
    of_other = code | await request_old_phone_code(other)
    assert is_refused(await other.put("/v1/me/phone", json=of_other), 403, "code-refused")
    grant = {"grant_type": "urn:xuezu:params:oauth:grant-type:phone-code", "client_id": "xuezu-app"}
    assert (await people.api.post("/oauth/token", data=grant | code)).status_code == 400
    body = await request_code(people.api, new) | await request_old_phone_code(person)
    assert is_refused(await person.put("/v1/me/phone", json=body), 403, "code-refused")


async def test_phone_change_of_an_account_closed_before_the_lock_is_refused(
    person: Person, engine: AsyncEngine
) -> None:
    new = fresh_phone()
    body = await request_phone_change(person, new)
    closed = "UPDATE users SET status = 'closed', phone_index = NULL, phone_cipher = NULL WHERE id = :id"
    async with engine.begin() as closing:
        await closing.execute(text(closed), {"id": person.user_id})
        changing = asyncio.ensure_future(person.put("/v1/me/phone", json=body))
        await asyncio.wait({changing}, timeout=0.15)
        assert not changing.done()
    assert is_refused(await changing, 401, "unauthorized")


@pytest.mark.parametrize("way", ["changes the phone", "registers a key", "closes the account"])
async def test_call_of_a_session_that_is_ended_meanwhile_is_refused(
    person: Person, engine: AsyncEngine, db: AsyncConnection, way: str
) -> None:
    """As by an operator who gives the account back to its owner while a thief acts."""
    if way == "changes the phone":
        body = await request_phone_change(person, fresh_phone())
        call = person.put("/v1/me/phone", json=body)
    elif way == "closes the account":
        call = person.put("/v1/me/closure", json=await request_closure(person))
    else:
        call = send_registration(person, SoftKey())
    async with engine.begin() as recovering:
        await recovering.execute(text("SELECT FROM users WHERE id = :id FOR UPDATE"), {"id": person.user_id})
        task = asyncio.ensure_future(call)
        await asyncio.wait({task}, timeout=0.15)
        assert not task.done()
        ended = "UPDATE sessions SET ended_at = now() WHERE user_id = :id"
        await recovering.execute(text(ended), {"id": person.user_id})
    assert is_refused(await task, 401, "unauthorized")
    row = (await db.execute(text("SELECT * FROM users WHERE id = :id"), {"id": person.user_id})).one()
    keys = "SELECT count(*) FROM security_keys WHERE user_id = :id"
    assert (row.status, await db.scalar(text(keys), {"id": person.user_id})) == ("active", 0)


async def test_phone_of_another_account_is_refused(people: People, person: Person) -> None:
    other = await people.register(verified=False, party=False)
    answer = await person.put("/v1/me/phone", json=await request_phone_change(person, other.phone))
    assert is_refused(answer, 409, "phone-taken")
    assert (await other.get("/v1/me")).json()["phone"] == other.phone


async def test_user_with_a_key_proves_it_before_phone_change_and_closure(person: Person) -> None:
    key = await register_key(person)
    new = fresh_phone()
    body = await request_phone_change(person, new)
    assert is_refused(await person.put("/v1/me/phone", json=body), 401, "security-key-needed")
    closing = await request_closure(person)
    assert is_refused(await person.put("/v1/me/closure", json=closing), 401, "security-key-needed")
    await prove_key(person, key)
    assert (await person.put("/v1/me/phone", json=body)).status_code == 204


async def test_member_row_becomes_inactive_after_phone_change(people: People) -> None:
    admin, person = await people.register(), await people.register(verified=False, party=False)
    org = await admin.create_org()
    body = {"name": "李随行", "phone": person.phone}
    made = await admin.post(f"/v1/orgs/{org['id']}/members", json=body)
    assert made.status_code == 201, made.text
    path = f"/v1/orgs/{org['id']}/members/{made.json()['id']}"
    assert (await admin.get(path)).json()["active"] is True
    new = fresh_phone()
    await person.put("/v1/me/phone", json=await request_phone_change(person, new))
    assert (await admin.get(path)).json()["active"] is False


async def test_admin_keeps_the_member_row_after_phone_change(people: People) -> None:
    main, clerk = await people.register(), await people.register()
    org = await main.create_org()
    await add_admin(main, org, clerk)
    path = f"/v1/orgs/{org['id']}/members"
    (row,) = [member for member in await list_all(main, path) if member["name"] == clerk.name]
    new = fresh_phone()
    colleague = await add_member(main, org, phone=new, name="同号者")
    changed = await clerk.put("/v1/me/phone", json=await request_phone_change(clerk, new))
    assert changed.status_code == 204, changed.text
    # The row with the new number belongs to another person, who is no admin.
    get_body(await main.delete(f"{path}/{colleague['id']}"), 204)
    # The other admin cannot remove the row, and the next user of the old number does not get it.
    await people.register(phone=clerk.phone, name=clerk.name)
    assert get_body(await main.get(f"{path}/{row['id']}"))["active"]
    assert is_refused(await main.delete(f"{path}/{row['id']}"), 409, "member-is-admin")
    again = await people.register(phone=new, verified=False)
    assert org["id"] in {org_row["id"] for org_row in get_body(await again.get("/v1/me/orgs"))["items"]}
    get_body(await main.delete(f"/v1/orgs/{org['id']}/admins/{clerk.user_id}"), 204)
    assert get_body(await main.get(f"{path}/{row['id']}"))["active"]
    get_body(await main.delete(f"{path}/{row['id']}"), 204)


# Closing


async def test_closed_account_has_no_personal_data_and_frees_phone_and_id_number(
    people: People, db: AsyncConnection
) -> None:
    person = await people.register(verified=False)
    number = fresh_id_card_number()
    await people.verify(person, number)
    await close_account(person)
    assert (await person.get("/v1/me")).status_code == 401
    form = {"grant_type": "refresh_token", "client_id": "xuezu-app", "refresh_token": person.refresh_token}
    assert (await people.api.post("/oauth/token", data=form)).status_code == 400
    row = (await db.execute(text("SELECT * FROM users WHERE id = :id"), {"id": person.user_id})).one()
    stored = {name for name, value in row._mapping.items() if value not in (None, False)}
    assert stored == {"id", "status", "created_at"}
    for table in ("verifications", "security_keys"):
        count = await db.scalar(text(f"SELECT count(*) FROM {table} WHERE user_id = :id"), {"id": person.user_id})
        assert count == 0
    new_user = await people.register(phone=person.phone, verified=False)
    assert new_user.user_id != person.user_id
    await people.verify(new_user, number)
    assert (await new_user.get("/v1/me")).json()["verified_name"] == new_user.name


async def test_closure_with_a_wrong_code_is_refused(person: Person) -> None:
    body = await request_closure(person)
    wrong = body | {"code": change_code(body["code"])}
    assert is_refused(await person.put("/v1/me/closure", json=wrong), 403, "code-refused")
    assert (await person.get("/v1/me")).status_code == 200


async def test_declaration_of_leaving_the_party_is_refused_until_party_orgs_are_handed_over(people: People) -> None:
    person, founder = await people.register(), await people.register()
    own, other = await person.create_org(), await founder.create_org()
    outside = await person.create_org(name=f"{own['name'][2:]}党外人士学习组织", kind="outside-party")
    await add_admin(founder, other, person)
    refused = await person.patch("/v1/me", json={"party_member": False})
    assert is_refused(refused, 409, "party-orgs-administered")
    roles = {org["name"]: org["is_main_admin"] for org in refused.json()["orgs"]}
    assert roles == {own["name"]: True, other["name"]: False}
    assert (await person.get("/v1/me")).json()["party_member"] is True
    assert (await person.put(f"/v1/orgs/{own['id']}/closure")).status_code in {200, 204}
    assert (await person.delete(f"/v1/orgs/{other['id']}/admins/me")).status_code == 204
    assert (await person.patch("/v1/me", json={"party_member": False})).json()["party_member"] is False
    assert outside["id"] in {org["id"] for org in (await person.get("/v1/me/orgs")).json()["items"]}


async def test_closure_by_an_admin_is_refused(people: People) -> None:
    person = await people.register()
    org = await person.create_org()
    answer = await person.put("/v1/me/closure", json=await request_closure(person))
    assert is_refused(answer, 409, "still-admin")
    assert (await person.get("/v1/me")).json()["verified_name"] == person.name
    # A closed org does not prevent the closure, because no admin can resign from it.
    assert (await person.put(f"/v1/orgs/{org['id']}/closure")).status_code in {200, 204}
    assert (await person.put("/v1/me/closure", json=await request_closure(person))).status_code == 204
    assert (await person.get("/v1/me")).status_code == 401


async def test_closure_by_an_operator_is_refused(app: FastAPI, people: People) -> None:
    person = await create_operator(app, people)
    answer = await person.put("/v1/me/closure", json=await request_closure(person))
    assert is_refused(answer, 409, "is-operator")


async def test_member_row_of_a_closed_account_becomes_inactive(people: People) -> None:
    admin, person = await people.register(), await people.register(verified=False, party=False)
    org = await admin.create_org()
    made = await admin.post(f"/v1/orgs/{org['id']}/members", json={"name": "李随行", "phone": person.phone})
    path = f"/v1/orgs/{org['id']}/members/{made.json()['id']}"
    assert (await admin.get(path)).json()["active"] is True
    await close_account(person)
    shown = (await admin.get(path)).json()
    assert shown["active"] is False
    assert shown["name"] == "李随行"
