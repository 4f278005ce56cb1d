"""Sign-in by phone code (S1): accepted codes, refused codes and rate limits."""

from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.cipher import hash_secret
from devtools.providers.sms import LATE_NUMBER, LOST_NUMBER, REFUSED_NUMBER
from tests.auth.consoles import DESKTOP
from tests.people import People, fresh_phone
from tests.phone_codes import change_code, request_code

GRANT = "urn:xuezu:params:oauth:grant-type:phone-code"


async def sign_in(api: httpx.AsyncClient, given: dict[str, str], **form: str) -> httpx.Response:
    return await api.post("/oauth/token", data={"grant_type": GRANT, "client_id": "xuezu-app"} | given | form)


async def sign_in_wrongly(api: httpx.AsyncClient, given: dict[str, str]) -> httpx.Response:
    return await sign_in(api, given, code=change_code(given["code"]))


async def age_code(db: AsyncConnection, given: dict[str, str], by: timedelta) -> None:
    """Move the expiry of a code back by this time."""
    await db.execute(
        text("UPDATE phone_codes SET expires_at = expires_at - CAST(:by AS interval) WHERE handle_hash = :hash"),
        {"by": by, "hash": hash_secret(given["handle"])},
    )


async def is_refused(answer: httpx.Response) -> bool:
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code == 400 and answer.json()["error"] == "invalid_grant"


async def test_new_phone_registers_and_signs_in(people: People) -> None:
    person = await people.register()
    me = (await person.get("/v1/me")).json()
    assert me["phone"] == person.phone
    assert me["verified_name"] == person.name
    assert me["party_member"] is True


async def test_known_phone_signs_in_to_the_same_account(people: People) -> None:
    person = await people.register(verified=False)
    again = await people.register(phone=person.phone, verified=False)
    assert again.user_id == person.user_id


async def test_answer_is_the_same_for_known_and_unknown_phones(people: People) -> None:
    known = (await people.register(verified=False)).phone
    answers = [await people.api.post("/v1/phone-codes", json={"phone": phone}) for phone in (known, fresh_phone())]
    first, second = ({**answer.json(), "handle": len(answer.json()["handle"])} for answer in answers)
    assert first == second
    assert [answer.status_code for answer in answers] == [202, 202]


@pytest.mark.parametrize("typed", ["+86 {} {} {}", "0086{}-{}-{}", "{} {}{}"])
async def test_phone_in_another_spelling_is_the_same_phone(api: httpx.AsyncClient, typed: str) -> None:
    given = await request_code(api, phone := fresh_phone())
    assert (await sign_in(api, given, phone=typed.format(phone[:3], phone[3:7], phone[7:]))).status_code == 200


async def test_used_code_is_refused(api: httpx.AsyncClient) -> None:
    given = await request_code(api, fresh_phone())
    assert (await sign_in(api, given)).status_code == 200
    assert await is_refused(await sign_in(api, given))


async def test_code_expires_after_five_minutes(api: httpx.AsyncClient, db: AsyncConnection) -> None:
    late, early = await request_code(api, fresh_phone()), await request_code(api, fresh_phone())
    await age_code(db, late, timedelta(minutes=4, seconds=55))
    await age_code(db, early, timedelta(minutes=5))
    assert (await sign_in(api, late)).status_code == 200
    assert await is_refused(await sign_in(api, early))


async def test_right_code_after_five_wrong_tries_is_refused(api: httpx.AsyncClient) -> None:
    given = await request_code(api, fresh_phone())
    for _ in range(4):
        assert await is_refused(await sign_in_wrongly(api, given))
    assert (await sign_in(api, given)).status_code == 200
    given = await request_code(api, fresh_phone())
    for _ in range(5):
        assert await is_refused(await sign_in_wrongly(api, given))
    assert await is_refused(await sign_in(api, given))


async def test_stranger_neither_replaces_a_code_nor_uses_its_tries(api: httpx.AsyncClient) -> None:
    """A stranger requests codes for the owner's phone and redeems them wrongly; the owner signs in all the same."""
    owner = await request_code(api, phone := fresh_phone())
    for _ in range(3):
        stranger = (await api.post("/v1/phone-codes", json={"phone": phone})).json()
        for _ in range(5):
            assert await is_refused(await sign_in_wrongly(api, owner | {"handle": stranger["handle"]}))
    assert (await sign_in(api, owner)).status_code == 200


async def test_code_with_the_handle_of_another_request_is_refused(api: httpx.AsyncClient) -> None:
    phone = fresh_phone()
    first, second = await request_code(api, phone), await request_code(api, phone)
    if first["code"] != second["code"]:
        assert await is_refused(await sign_in(api, first, handle=second["handle"]))
    assert await is_refused(await sign_in(api, first, handle="kF2vG6n3QeXw0bYd8mRz1A"))
    assert (await sign_in(api, second)).status_code == 200
    assert (await sign_in(api, first)).status_code == 200


async def test_code_of_another_phone_is_refused(api: httpx.AsyncClient) -> None:
    other, own = await request_code(api, fresh_phone()), await request_code(api, fresh_phone())
    assert await is_refused(await sign_in(api, other, phone=own["phone"]))
    if own["code"] != other["code"]:
        assert await is_refused(await sign_in(api, own, code=other["code"]))


async def test_phone_code_from_another_client_is_refused(api: httpx.AsyncClient) -> None:
    given = await request_code(api, fresh_phone())
    answer = await sign_in(api, given, client_id=DESKTOP)
    assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")
    assert (await sign_in(api, given)).status_code == 200


@pytest.mark.parametrize(
    "form",
    [
        {"phone": ""},
        {"code": ""},
        {"handle": ""},
        {"phone": "02586123456"},
        {"phone": "x" * 300},
        {"phone": "1380013\x008000"},
        {"grant_type": ""},
        {"client_id": ""},
    ],
    ids=str,
)
async def test_malformed_request_is_invalid_request(api: httpx.AsyncClient, form: dict[str, str]) -> None:
    given = {"phone": fresh_phone(), "code": "000000", "handle": "none"}
    answer = await sign_in(api, given, **form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_disabled_user_is_refused(people: People, db: AsyncConnection) -> None:
    person = await people.register(verified=False)
    await db.execute(text("UPDATE users SET status = 'disabled' WHERE id = :id"), {"id": person.user_id})
    assert (await person.get("/v1/me")).status_code == 401
    assert await is_refused(await sign_in(people.api, await request_code(people.api, person.phone)))


async def test_sixth_code_for_a_phone_is_limited(api: httpx.AsyncClient) -> None:
    phone = fresh_phone()
    for _ in range(5):
        assert (await api.post("/v1/phone-codes", json={"phone": phone})).status_code == 202
    limited = await api.post("/v1/phone-codes", json={"phone": phone})
    assert limited.status_code == 429
    assert 1700 < int(limited.headers["retry-after"]) <= 1800
    assert (await api.post("/v1/phone-codes", json={"phone": fresh_phone()})).status_code == 202


async def test_codes_from_one_network_are_limited(app: FastAPI, db: AsyncConnection) -> None:
    """Each network has its own bucket, and a trusted proxy that calls for itself has none."""
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


async def test_codes_over_all_phones_are_limited(api: httpx.AsyncClient, db: AsyncConnection) -> None:
    full = "INSERT INTO rate_limits VALUES ('code-overall:all', now() + interval '1 hour')"
    await db.execute(text(f"{full} ON CONFLICT (key) DO UPDATE SET full_at = excluded.full_at"))
    try:
        limited = await api.post("/v1/phone-codes", json={"phone": fresh_phone()})
    finally:
        await db.execute(text("DELETE FROM rate_limits WHERE key = 'code-overall:all'"))
    assert limited.status_code == 429


async def test_failing_gateway_does_not_fail_the_request(api: httpx.AsyncClient, db: AsyncConnection) -> None:
    await db.execute(text("DELETE FROM rate_limits WHERE key LIKE 'code-phone:%'"))
    for phone in (LOST_NUMBER, REFUSED_NUMBER, LATE_NUMBER):
        assert (await api.post("/v1/phone-codes", json={"phone": phone})).status_code == 202
        received = (await api.get("/v1/simulator/sms", params={"phone": phone})).json()["items"]
        assert received == []


async def test_stored_code_shows_neither_code_nor_phone_nor_handle(api: httpx.AsyncClient, db: AsyncConnection) -> None:
    given = await request_code(api, fresh_phone())
    rows = [
        *(await db.execute(text("SELECT phone_codes::text FROM phone_codes"))).scalars(),
        *(await db.execute(text("SELECT simulated_messages::text FROM simulated_messages"))).scalars(),
        *(await db.execute(text("SELECT audit_entries::text FROM audit_entries"))).scalars(),
    ]
    assert rows
    phone, code, handle = given.values()
    hidden = {phone, phone.encode().hex(), code.encode().hex(), handle, handle.encode().hex()}
    assert not any(secret in row for row in rows for secret in hidden)
