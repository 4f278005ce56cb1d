"""Many at once: each race has one outcome, exactly. A hundred rounds here (of some fewer), ten thousand as proof."""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Iterable

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.cipher import Cipher
from tests.auth.scanning import Console, approve, scan
from tests.people import People, Person, fresh_phone

PROOF = bool(os.environ.get("XUEZU_PROOF"))
ROUNDS = 10_000 if PROOF else 100
FEWER = 10_000 if PROOF else 20
AT_ONCE = 10

pytestmark = pytest.mark.proof


async def together(calls: Iterable[Awaitable[httpx.Response]]) -> Counter[int]:
    """The statuses of calls made at once."""
    return Counter(answer.status_code for answer in await asyncio.gather(*calls))


@pytest.fixture
async def person(people: People) -> Person:
    return await people.register(verified=False, party=False)


async def set_state(db: AsyncConnection, console: Console, state: str) -> None:
    """Back to a state, as if the round had not been: setting the scene anew over HTTP would be most of the time."""
    await db.execute(
        text(
            "UPDATE device_authorizations SET state = :state, wrong_numbers = 0,"
            " expires_at = now() + interval '3 minutes' WHERE user_code = :code"
        ),
        {"state": state, "code": console.user_code},
    )


async def test_one_of_many_redeems_a_code(person: Person, db: AsyncConnection) -> None:
    console = await Console.ask(person.api)
    await scan(person, console)
    for _ in range(ROUNDS):
        await set_state(db, console, "approved")
        assert await together(console.poll() for _ in range(AT_ONCE)) == {200: 1, 400: AT_ONCE - 1}


async def test_one_of_many_signs_in_with_a_code(app: FastAPI, api: httpx.AsyncClient, db: AsyncConnection) -> None:
    phone = fresh_phone()
    await api.post("/v1/phone-codes", json={"phone": phone})
    code = (await api.get("/v1/simulator/sms", params={"phone": phone})).json()["items"][0]["code"]
    cipher: Cipher = app.state.cipher
    form = {
        "grant_type": "urn:xuezu:params:oauth:grant-type:phone-code",
        "client_id": "xuezu-app",
        "phone": phone,
        "code": code,
    }
    for _ in range(FEWER):
        outcome = await together(api.post("/oauth/token", data=form) for _ in range(AT_ONCE))
        assert outcome == {200: 1, 400: AT_ONCE - 1}
        await db.execute(
            text(
                "UPDATE phone_codes SET used_at = NULL, tries = 0, expires_at = now() + interval '5 minutes'"
                " WHERE phone_index = :index"
            ),
            {"index": cipher.phone_index(phone)},
        )


async def test_wrong_tries_at_once_are_all_counted(app: FastAPI, api: httpx.AsyncClient, db: AsyncConnection) -> None:
    """Ten guesses at once are not more than five."""
    phone = fresh_phone()
    await api.post("/v1/phone-codes", json={"phone": phone})
    code = int((await api.get("/v1/simulator/sms", params={"phone": phone})).json()["items"][0]["code"])
    cipher: Cipher = app.state.cipher
    for _ in range(FEWER // 2):
        guesses = [f"{(code + guess) % 1_000_000:06d}" for guess in range(1, AT_ONCE + 1)]
        await together(
            api.post(
                "/oauth/token",
                data={
                    "grant_type": "urn:xuezu:params:oauth:grant-type:phone-code",
                    "client_id": "xuezu-app",
                    "phone": phone,
                    "code": guess,
                },
            )
            for guess in guesses
        )
        index = {"index": cipher.phone_index(phone)}
        tries = await db.scalar(text("SELECT tries FROM phone_codes WHERE phone_index = :index"), index)
        assert tries == 5
        await db.execute(text("UPDATE phone_codes SET tries = 0 WHERE phone_index = :index"), index)


async def test_one_phone_is_one_account(app: FastAPI, api: httpx.AsyncClient, db: AsyncConnection) -> None:
    """First sign-ins of a phone at once, each by a code of its own purpose-made row, register one user."""
    from app.audit.operations import Actor
    from app.auth.registration import find_or_register_user

    cipher: Cipher = app.state.cipher

    async def register(phone: str) -> str:
        async with app.state.engine.begin() as connection:
            return str((await find_or_register_user(connection, cipher, Actor(), phone)).id)

    for _ in range(FEWER):
        phone = fresh_phone()
        assert len(set(await asyncio.gather(*(register(phone) for _ in range(AT_ONCE))))) == 1


async def test_approval_and_refusal_at_once_are_one_decision(person: Person, db: AsyncConnection) -> None:
    console = await Console.ask(person.api)
    scanned = await scan(person, console)
    number = await console.match_number()
    for _ in range(ROUNDS):
        await set_state(db, console, "scanned")
        calls = [approve(person, scanned["id"], number) for _ in range(AT_ONCE // 2)]
        calls += [person.put(f"/v1/scans/{scanned['id']}/refusal") for _ in range(AT_ONCE // 2)]
        answers = await asyncio.gather(*calls)
        assert Counter(answer.status_code for answer in answers) == {200: 1, 409: AT_ONCE - 1}
        decided = next(answer.json()["state"] for answer in answers if answer.status_code == 200)
        polled = await console.poll()
        assert polled.status_code == (200 if decided == "approved" else 400), decided


async def test_of_many_phones_one_has_scanned(people: People, db: AsyncConnection) -> None:
    phones = [await people.register(verified=False, party=False) for _ in range(AT_ONCE)]
    console = await Console.ask(people.api)
    for _ in range(FEWER):
        outcome = await together(phone.post("/v1/scans", json={"code": console.user_code}) for phone in phones)
        assert outcome == {201: 1, 409: AT_ONCE - 1}
        await db.execute(
            text(
                "UPDATE device_authorizations SET state = 'pending', scanned_session_id = NULL,"
                " expires_at = now() + interval '3 minutes' WHERE user_code = :code"
            ),
            {"code": console.user_code},
        )
        await db.execute(text("DELETE FROM rate_limits WHERE key LIKE 'scan-user:%'"))


async def test_wrong_numbers_at_once_are_all_counted(person: Person, db: AsyncConnection) -> None:
    """A guess in the same moment is a guess: with two wrong before it, the right number comes too late."""
    console = await Console.ask(person.api)
    scanned = await scan(person, console)
    number = await console.match_number()
    wrong = [guess for guess in range(10, 99) if guess != number][:AT_ONCE]
    for _ in range(FEWER // 2):
        await set_state(db, console, "scanned")
        await together(approve(person, scanned["id"], guess) for guess in wrong)
        assert (await person.get(f"/v1/scans/{scanned['id']}")).json()["state"] == "refused"
        assert (await approve(person, scanned["id"], number)).status_code == 409


async def refresh(api: httpx.AsyncClient, refresh_token: str) -> httpx.Response:
    form = {"grant_type": "refresh_token", "client_id": "xuezu-app", "refresh_token": refresh_token}
    return await api.post("/oauth/token", data=form)


async def revive(db: AsyncConnection, person: Person) -> None:
    await db.execute(text("UPDATE sessions SET ended_at = NULL WHERE user_id = :id"), {"id": person.user_id})


async def test_a_refresh_token_used_many_times_at_once_serves_one_and_ends_the_family(
    person: Person, db: AsyncConnection
) -> None:
    token = person.refresh_token
    for _ in range(ROUNDS):
        answers = await asyncio.gather(*(refresh(person.api, token) for _ in range(AT_ONCE)))
        assert Counter(answer.status_code for answer in answers) == {200: 1, 400: AT_ONCE - 1}
        won = next(answer.json() for answer in answers if answer.status_code == 200)
        headers = {"Authorization": f"Bearer {won['access_token']}"}
        assert (await person.api.get("/v1/me", headers=headers)).status_code == 401
        assert (await refresh(person.api, won["refresh_token"])).status_code == 400
        # The family is revived for the next round, with a token that was not used yet.
        await revive(db, person)
        token = await unused(db, person, won["refresh_token"])


async def unused(db: AsyncConnection, person: Person, token: str) -> str:
    from app.cipher import hash_secret

    await db.execute(
        text("UPDATE refresh_tokens SET used_at = NULL WHERE token_hash = :hash"), {"hash": hash_secret(token)}
    )
    return token


async def test_a_refresh_racing_a_sign_out_leaves_nobody_signed_in(person: Person, db: AsyncConnection) -> None:
    token = person.refresh_token
    for round_ in range(FEWER):
        form = {"client_id": "xuezu-app", "token": token}
        first = refresh(person.api, token)
        second = person.api.post("/oauth/revoke", data=form)
        answers = await asyncio.gather(*((first, second) if round_ % 2 else (second, first)))
        refreshed = next(answer for answer in answers if answer.request.url.path == "/oauth/token")
        assert (await person.get("/v1/me")).status_code == 401
        if refreshed.status_code == 200:
            won = refreshed.json()
            headers = {"Authorization": f"Bearer {won['access_token']}"}
            assert (await person.api.get("/v1/me", headers=headers)).status_code == 401
            assert (await refresh(person.api, won["refresh_token"])).status_code == 400
            token = won["refresh_token"]
        await revive(db, person)
        token = await unused(db, person, token)
