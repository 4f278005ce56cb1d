"""Signing in by phone code (S1): who gets in, who does not, and what is said of it."""

from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.cipher import CIPHER
from devtools.providers.sms import LATE_NUMBER, LOST_NUMBER, REFUSED_NUMBER
from tests.people import People, fresh_phone

GRANT = "urn:xuezu:params:oauth:grant-type:phone-code"


async def code_sent_to(api: httpx.AsyncClient, phone: str) -> str:
    asked = await api.post("/v1/phone-codes", json={"phone": phone})
    assert asked.status_code == 202, asked.text
    messages = (await api.get("/v1/simulator/sms", params={"phone": phone})).json()["items"]
    return str(messages[0]["code"])


async def sign_in(api: httpx.AsyncClient, phone: str, code: str, **form: str) -> httpx.Response:
    asked = {"grant_type": GRANT, "client_id": "xuezu-app", "phone": phone, "code": code}
    return await api.post("/oauth/token", data=asked | form)


def other(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


async def age(db: AsyncConnection, app: FastAPI, phone: str, by: timedelta) -> None:
    """Let time pass for a phone's code."""
    cipher = CIPHER.of(app)
    await db.execute(
        text("UPDATE phone_codes SET expires_at = expires_at - CAST(:by AS interval) WHERE phone_index = :index"),
        {"by": by, "index": cipher.phone_index(phone)},
    )


async def refused(answer: httpx.Response) -> bool:
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code == 400 and answer.json()["error"] == "invalid_grant"


async def test_a_new_phone_registers_and_signs_in(people: People) -> None:
    person = await people.register()
    me = (await person.get("/v1/me")).json()
    assert me["phone"] == person.phone
    assert me["verified_name"] == person.name
    assert me["party_member"] is True


async def test_a_known_phone_signs_in_to_the_same_account(people: People) -> None:
    person = await people.register(verified=False)
    again = await people.register(phone=person.phone, verified=False)
    assert again.user_id == person.user_id


async def test_the_answer_is_the_same_for_every_phone(people: People) -> None:
    known = (await people.register(verified=False)).phone
    answers = [await people.api.post("/v1/phone-codes", json={"phone": phone}) for phone in (known, fresh_phone())]
    assert answers[0].json() == answers[1].json()
    assert [answer.status_code for answer in answers] == [202, 202]


@pytest.mark.parametrize("typed", ["+86 {} {} {}", "0086{}-{}-{}", "{} {}{}"])
async def test_a_phone_is_one_however_it_is_typed(api: httpx.AsyncClient, typed: str) -> None:
    phone = fresh_phone()
    code = await code_sent_to(api, phone)
    assert (await sign_in(api, typed.format(phone[:3], phone[3:7], phone[7:]), code)).status_code == 200


async def test_a_code_is_good_once(api: httpx.AsyncClient) -> None:
    phone = fresh_phone()
    code = await code_sent_to(api, phone)
    assert (await sign_in(api, phone, code)).status_code == 200
    assert await refused(await sign_in(api, phone, code))


async def test_a_code_is_good_for_five_minutes(app: FastAPI, api: httpx.AsyncClient, db: AsyncConnection) -> None:
    phone = fresh_phone()
    code = await code_sent_to(api, phone)
    await age(db, app, phone, timedelta(minutes=4, seconds=55))
    early = fresh_phone()
    early_code = await code_sent_to(api, early)
    await age(db, app, early, timedelta(minutes=5))
    assert (await sign_in(api, phone, code)).status_code == 200
    assert await refused(await sign_in(api, early, early_code))


async def test_the_fifth_wrong_try_was_the_last(api: httpx.AsyncClient) -> None:
    phone = fresh_phone()
    code = await code_sent_to(api, phone)
    for _ in range(4):
        assert await refused(await sign_in(api, phone, other(code)))
    assert (await sign_in(api, phone, code)).status_code == 200
    phone = fresh_phone()
    code = await code_sent_to(api, phone)
    for _ in range(5):
        assert await refused(await sign_in(api, phone, other(code)))
    assert await refused(await sign_in(api, phone, code))


async def test_a_new_code_takes_the_place_of_the_old(api: httpx.AsyncClient) -> None:
    phone = fresh_phone()
    old = await code_sent_to(api, phone)
    new = await code_sent_to(api, phone)
    if old != new:
        assert await refused(await sign_in(api, phone, old))
    assert (await sign_in(api, phone, new)).status_code == 200


async def test_a_code_of_another_phone_is_refused(api: httpx.AsyncClient) -> None:
    code = await code_sent_to(api, fresh_phone())
    phone = fresh_phone()
    assert await refused(await sign_in(api, phone, code))
    mine = await code_sent_to(api, phone)
    if mine != code:
        assert await refused(await sign_in(api, phone, code))


async def test_only_the_app_signs_in_by_phone_code(api: httpx.AsyncClient) -> None:
    phone = fresh_phone()
    code = await code_sent_to(api, phone)
    answer = await sign_in(api, phone, code, client_id="xuezu-console")
    assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")
    assert (await sign_in(api, phone, code)).status_code == 200


@pytest.mark.parametrize(
    "form",
    [
        {"phone": ""},
        {"code": ""},
        {"phone": "02586123456"},
        {"phone": "x" * 300},
        {"phone": "1380013\x008000"},
        {"grant_type": ""},
        {"client_id": ""},
    ],
    ids=str,
)
async def test_bad_requests_are_told_as_such(api: httpx.AsyncClient, form: dict[str, str]) -> None:
    asked = {"grant_type": GRANT, "client_id": "xuezu-app", "phone": fresh_phone(), "code": "000000"} | form
    answer = await api.post("/oauth/token", data=asked)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_a_disabled_user_does_not_get_in(people: People, db: AsyncConnection) -> None:
    person = await people.register(verified=False)
    await db.execute(text("UPDATE users SET status = 'disabled' WHERE id = :id"), {"id": person.user_id})
    assert (await person.get("/v1/me")).status_code == 401
    assert await refused(await sign_in(people.api, person.phone, await code_sent_to(people.api, person.phone)))


async def test_a_phone_is_sent_five_codes_and_then_few(api: httpx.AsyncClient) -> None:
    phone = fresh_phone()
    for _ in range(5):
        assert (await api.post("/v1/phone-codes", json={"phone": phone})).status_code == 202
    limited = await api.post("/v1/phone-codes", json={"phone": phone})
    assert limited.status_code == 429
    assert 1700 < int(limited.headers["retry-after"]) <= 1800
    assert (await api.post("/v1/phone-codes", json={"phone": fresh_phone()})).status_code == 202


async def test_an_address_is_limited_over_all_phones(app: FastAPI, db: AsyncConnection) -> None:
    """The bucket of one network; another's is untouched, and the loopback has none."""
    await db.execute(
        text("INSERT INTO rate_limits VALUES ('code-address:203.0.113.9', now() + interval '1199 seconds')")
    )
    await db.execute(
        text("INSERT INTO rate_limits VALUES ('code-address:2001:db8:0:1::', now() + interval '1200 seconds')")
    )
    statuses = []
    for address in ("203.0.113.9", "203.0.113.10", "2001:db8:0:1:ffff::7", "2001:db8:0:2::7", "127.0.0.1"):
        transport = httpx.ASGITransport(app, client=(address, 5))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
            statuses.append((await client.post("/v1/phone-codes", json={"phone": fresh_phone()})).status_code)
    assert statuses == [429, 202, 429, 202, 202]


async def test_all_together_are_limited(api: httpx.AsyncClient, db: AsyncConnection) -> None:
    full = "INSERT INTO rate_limits VALUES ('code-overall:all', now() + interval '1 hour')"
    await db.execute(text(f"{full} ON CONFLICT (key) DO UPDATE SET full_at = excluded.full_at"))
    try:
        limited = await api.post("/v1/phone-codes", json={"phone": fresh_phone()})
    finally:
        await db.execute(text("DELETE FROM rate_limits WHERE key = 'code-overall:all'"))
    assert limited.status_code == 429


async def test_the_gateway_fails_as_a_real_one(api: httpx.AsyncClient, db: AsyncConnection) -> None:
    await db.execute(text("DELETE FROM rate_limits WHERE key LIKE 'code-phone:%'"))
    for phone in (LOST_NUMBER, REFUSED_NUMBER, LATE_NUMBER):
        assert (await api.post("/v1/phone-codes", json={"phone": phone})).status_code == 202
        received = (await api.get("/v1/simulator/sms", params={"phone": phone})).json()["items"]
        assert received == []


async def test_what_is_stored_of_a_code_tells_neither_it_nor_the_phone(
    api: httpx.AsyncClient, db: AsyncConnection
) -> None:
    phone = fresh_phone()
    code = await code_sent_to(api, phone)
    rows = [
        *(await db.execute(text("SELECT phone_codes::text FROM phone_codes"))).scalars(),
        *(await db.execute(text("SELECT simulated_messages::text FROM simulated_messages"))).scalars(),
        *(await db.execute(text("SELECT audit_entries::text FROM audit_entries"))).scalars(),
    ]
    assert rows
    hidden = {phone, phone.encode().hex(), code.encode().hex()}
    assert not any(secret in row for row in rows for secret in hidden)
