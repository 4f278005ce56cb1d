"""Ten at once: each race has one outcome, exactly. Rounds are few here, and ten thousand as proof.

Setting each round's scene anew over HTTP would be most of the time: SQL puts it back as if the round had not been.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor
from app.auth.accounts.registration import find_or_register_user
from app.core.cipher import CIPHER, hash_secret
from app.core.settings import Settings
from app.database.db import ENGINE
from app.main import create_app
from tests.acts import add_admin
from tests.auth.authenticator import challenge, register_key
from tests.auth.operating import enrolled_operator
from tests.auth.racing import Answer, Caller, together
from tests.auth.scanning import DEVICE_GRANT, Console, scan
from tests.people import People, Person, fresh_phone

PROOF = os.environ.get("XUEZU_PROOF") == "1"
ROUNDS = 10_000 if PROOF else 100
FEW_ROUNDS = 10_000 if PROOF else 25
"""For a race that was seen to fail in its first or second round, in each of three runs, once its guard was removed."""
AT_ONCE = 10

pytestmark = [pytest.mark.proof, pytest.mark.usefixtures("day_long_tokens")]


@pytest.fixture
async def person(people: People) -> Person:
    return await people.register(verified=False, party=False)


@pytest.fixture
def phone(app: FastAPI, person: Person) -> Caller:
    return Caller(app, person.token)


@pytest.fixture(scope="module")
async def others(app: FastAPI, people: People) -> list[Caller]:
    """Nine other phones."""
    return [Caller(app, (await people.register(verified=False, party=False)).token) for _ in range(AT_ONCE - 1)]


@pytest.fixture
def anybody(app: FastAPI) -> Caller:
    """Without an access token, as clients are at the token endpoint."""
    return Caller(app)


# Phone codes


class PhoneCode:
    """A code that a phone was sent, and its try."""

    def __init__(self, caller: Caller, db: AsyncConnection, phone: str, code: str, index: bytes) -> None:
        self.caller, self.db, self.phone, self.code, self.index = caller, db, phone, code, index

    async def renew(self) -> int:
        """As if nobody had tried it; how many tries there were."""
        anew = text(
            "UPDATE phone_codes SET used_at = NULL, tries = 0, expires_at = now() + interval '5 minutes'"
            " WHERE phone_index = :index RETURNING old.tries"
        )
        return int((await self.db.execute(anew, {"index": self.index})).scalar_one())

    async def sign_in(self, code: str) -> Answer:
        grant = "urn:xuezu:params:oauth:grant-type:phone-code"
        return await self.caller.form(
            "/oauth/token", grant_type=grant, client_id="xuezu-app", phone=self.phone, code=code
        )


@pytest.fixture
async def phone_code(api: httpx.AsyncClient, app: FastAPI, anybody: Caller, db: AsyncConnection) -> PhoneCode:
    phone = fresh_phone()
    await api.post("/v1/phone-codes", json={"phone": phone})
    code = (await api.get("/v1/simulator/sms", params={"phone": phone})).json()["items"][0]["code"]
    cipher = CIPHER.of(app)
    return PhoneCode(anybody, db, phone, code, cipher.phone_index(phone))


async def test_one_of_many_signs_in_with_a_code(phone_code: PhoneCode) -> None:
    for _ in range(FEW_ROUNDS):
        await phone_code.renew()
        outcome = await together(phone_code.sign_in(phone_code.code) for _ in range(AT_ONCE))
        assert outcome == {200: 1, 400: AT_ONCE - 1}


async def test_of_ten_guesses_at_once_five_are_tried(phone_code: PhoneCode) -> None:
    """The others come too late, as the right one would."""
    wrong = [f"{(int(phone_code.code) + guess) % 1_000_000:06d}" for guess in range(1, AT_ONCE + 1)]
    for _ in range(FEW_ROUNDS):
        assert await together(phone_code.sign_in(guess) for guess in wrong) == {400: AT_ONCE}
        assert await phone_code.renew() == 5


async def test_one_phone_is_one_account(app: FastAPI) -> None:
    """First sign-ins of a phone at once, as by codes of their own, register one user."""
    cipher = CIPHER.of(app)

    async def register(phone: str) -> str:
        async with ENGINE.of(app).begin() as connection:
            return str((await find_or_register_user(connection, cipher, Actor(), phone)).id)

    for _ in range(FEW_ROUNDS):
        phone = fresh_phone()
        assert len(set(await asyncio.gather(*(register(phone) for _ in range(AT_ONCE))))) == 1


# The scan


class Scan:
    """A console that a person scanned, and what is done with it."""

    def __init__(self, db: AsyncConnection, console: Console, poller: Caller, scan_id: str, number: int) -> None:
        self.db, self.console, self.poller, self.number = db, console, poller, number
        self.one = f"/v1/scans/{scan_id}"

    async def set_state(self, state: str) -> None:
        statement = (
            "UPDATE device_authorizations SET state = CAST(:state AS text), wrong_numbers = 0,"
            " scanned_session_id = CASE WHEN :state <> 'pending' THEN scanned_session_id END,"
            " expires_at = now() + interval '3 minutes' WHERE user_code = :code"
        )
        await self.db.execute(text(statement), {"state": state, "code": self.console.user_code})

    async def approve(self, who: Caller, number: int | None = None) -> Answer:
        return await who.put(f"{self.one}/approval", {"number": number or self.number})

    async def refuse(self, who: Caller) -> Answer:
        return await who.put(f"{self.one}/refusal")

    async def poll(self) -> Answer:
        secret = {"client_id": "xuezu-console", "device_code": self.console.device_code}
        return await self.poller.form("/oauth/token", grant_type=DEVICE_GRANT, **secret)


@pytest.fixture
async def scanned(person: Person, anybody: Caller, db: AsyncConnection) -> Scan:
    console = await Console.ask(person.api)
    found = await scan(person, console)
    return Scan(db, console, anybody, found["id"], await console.match_number())


async def test_of_many_phones_one_has_scanned(others: list[Caller], phone: Caller, scanned: Scan) -> None:
    body = {"code": scanned.console.user_code}
    for _ in range(FEW_ROUNDS):
        await scanned.set_state("pending")
        await scanned.db.execute(text("DELETE FROM rate_limits WHERE key LIKE 'scan-user:%'"))
        outcome = await together(one.post("/v1/scans", body) for one in [phone, *others])
        assert outcome == {201: 1, 409: AT_ONCE - 1}


async def test_of_many_who_approve_only_who_scanned_does(others: list[Caller], phone: Caller, scanned: Scan) -> None:
    for round_ in range(ROUNDS):
        await scanned.set_state("scanned")
        place = round_ % AT_ONCE
        answers = await asyncio.gather(*(scanned.approve(one) for one in [*others[:place], phone, *others[place:]]))
        assert Counter(answer.status for answer in answers) == {200: 1, 404: AT_ONCE - 1}
        assert answers[place].status == 200


async def test_approval_and_refusal_at_once_are_one_decision(phone: Caller, scanned: Scan) -> None:
    for _ in range(FEW_ROUNDS):
        await scanned.set_state("scanned")
        calls = [scanned.approve(phone) for _ in range(AT_ONCE // 2)]
        calls += [scanned.refuse(phone) for _ in range(AT_ONCE // 2)]
        answers = await asyncio.gather(*calls)
        assert Counter(answer.status for answer in answers) == {200: 1, 409: AT_ONCE - 1}
        decided = next(answer.json()["state"] for answer in answers if answer.status == 200)
        assert (await scanned.poll()).status == (200 if decided == "approved" else 400), decided


async def test_of_ten_wrong_numbers_at_once_the_third_refuses(phone: Caller, scanned: Scan) -> None:
    wrong = [guess for guess in range(10, 99) if guess != scanned.number][:AT_ONCE]
    for _ in range(FEW_ROUNDS):
        await scanned.set_state("scanned")
        answers = await asyncio.gather(*(scanned.approve(phone, guess) for guess in wrong))
        said = Counter(answer.slug for answer in answers)
        assert said == {"wrong-number": 3, "scan-decided": AT_ONCE - 3}


async def test_one_of_many_redeems_a_code(scanned: Scan) -> None:
    for _ in range(FEW_ROUNDS):
        await scanned.set_state("approved")
        assert await together(scanned.poll() for _ in range(AT_ONCE)) == {200: 1, 400: AT_ONCE - 1}


async def is_signed_in(db: AsyncConnection, person: Person) -> bool:
    live = "SELECT EXISTS (SELECT FROM sessions WHERE user_id = :id AND ended_at IS NULL)"
    return bool(await db.scalar(text(live), {"id": person.user_id}))


async def forget_consoles(db: AsyncConnection, person: Person) -> None:
    """The phone's session, which was the first, lives again, and is the only one."""
    first = "(SELECT id FROM sessions WHERE user_id = :id ORDER BY id LIMIT 1)"
    for statement in (
        f"DELETE FROM sessions WHERE user_id = :id AND id <> {first}",
        "UPDATE sessions SET ended_at = NULL WHERE user_id = :id",
    ):
        await db.execute(text(statement), {"id": person.user_id})


@pytest.mark.parametrize("by", ["a suspension", "themselves"])
async def test_who_is_shut_out_while_their_approval_is_redeemed_is_out(
    app: FastAPI, people: People, person: Person, phone: Caller, scanned: Scan, by: str
) -> None:
    """Nine redeem while the user is suspended, or signs out everywhere: no session is left, the newest included."""
    operator = Caller(app, (await enrolled_operator(app, people)).token)
    suspension = {"phone": person.phone, "reason": "abuse"}
    for round_ in range(FEW_ROUNDS):
        await scanned.set_state("approved")
        place = round_ % AT_ONCE
        calls = [scanned.poll() for _ in range(AT_ONCE - 1)]
        if by == "a suspension":
            calls.insert(place, operator.post("/v1/operator/suspensions", suspension))
        else:
            calls.insert(place, phone.delete("/v1/me/sessions"))
        answers = await asyncio.gather(*calls)
        assert answers.pop(place).status in {201, 204}
        redeemed = Counter(answer.status for answer in answers)
        assert redeemed in ({200: 1, 400: AT_ONCE - 2}, {400: AT_ONCE - 1})
        assert not await is_signed_in(scanned.db, person)
        if by == "a suspension":
            assert (await operator.delete(f"/v1/operator/suspensions/{person.user_id}")).status == 204
        await forget_consoles(scanned.db, person)


async def test_a_revoked_program_is_left_no_session(
    app: FastAPI, people: People, person: Person, anybody: Caller, db: AsyncConnection
) -> None:
    """Nine redeem while their client is revoked: no session in it is left, the newest included."""
    operator = Caller(app, (await enrolled_operator(app, people)).token)
    body = {"name": "桌面程序", "kind": "device", "scopes": []}
    client_id = (await operator.post("/v1/operator/clients", body)).json()["client_id"]
    console = await Console.ask(person.api, client_id)
    await scan(person, console)
    asked = {"client_id": client_id, "device_code": console.device_code}
    live = text("SELECT count(*) FROM sessions WHERE client_id = :client AND ended_at IS NULL")
    again = text(
        "WITH back AS (UPDATE oauth_clients SET revoked_at = NULL WHERE id = :client),"
        " gone AS (DELETE FROM sessions WHERE client_id = :client)"
        " UPDATE device_authorizations SET state = 'approved', expires_at = now() + interval '3 minutes'"
        " WHERE client_id = :client"
    )
    which = {"client": client_id}
    for round_ in range(FEW_ROUNDS):
        await db.execute(again, which)
        place = round_ % AT_ONCE
        calls = [anybody.form("/oauth/token", grant_type=DEVICE_GRANT, **asked) for _ in range(AT_ONCE - 1)]
        calls.insert(place, operator.delete(f"/v1/operator/clients/{client_id}"))
        answers = await asyncio.gather(*calls)
        assert answers.pop(place).status == 204
        assert Counter(answer.status for answer in answers)[200] <= 1
        assert {answer.status for answer in answers} <= {200, 400, 401}
        assert await db.scalar(live, which) == 0


# Sessions


async def refresh(caller: Caller, refresh_token: str) -> Answer:
    return await caller.form(
        "/oauth/token", grant_type="refresh_token", client_id="xuezu-app", refresh_token=refresh_token
    )


async def assert_ended(app: FastAPI, tokens: dict[str, Any]) -> None:
    assert (await Caller(app, tokens["access_token"]).get("/v1/me")).status == 401
    assert (await refresh(Caller(app), tokens["refresh_token"])).status == 400


async def unused(db: AsyncConnection, person: Person, token: str) -> str:
    """The family lives again, and this token of it was not used yet."""
    await db.execute(text("UPDATE sessions SET ended_at = NULL WHERE user_id = :id"), {"id": person.user_id})
    one = "UPDATE refresh_tokens SET used_at = NULL WHERE token_hash = :hash"
    await db.execute(text(one), {"hash": hash_secret(token)})
    return token


async def test_a_refresh_token_used_many_times_at_once_serves_one_and_ends_the_family(
    app: FastAPI, person: Person, anybody: Caller, db: AsyncConnection
) -> None:
    token = person.refresh_token
    for _ in range(FEW_ROUNDS):
        answers = await asyncio.gather(*(refresh(anybody, token) for _ in range(AT_ONCE)))
        assert Counter(answer.status for answer in answers) == {200: 1, 400: AT_ONCE - 1}
        won = next(answer.json() for answer in answers if answer.status == 200)
        await assert_ended(app, won)
        token = await unused(db, person, won["refresh_token"])


@pytest.fixture
async def restarted(settings: Settings) -> AsyncIterator[FastAPI]:
    """A process that was started since, and has seen nothing of what went before."""
    application = create_app(settings)
    async with application.router.lifespan_context(application):
        yield application


async def test_replays_after_a_restart_end_the_family_once(
    app: FastAPI, restarted: FastAPI, person: Person, anybody: Caller, db: AsyncConnection
) -> None:
    token = person.refresh_token
    ended = text(
        "SELECT count(*) FROM audit_entries AS a JOIN sessions AS s ON s.id = a.subject_id"
        " WHERE s.user_id = :id AND a.action = 'session.ended' AND a.after->>'reason' = 'refresh-token-reused'"
    )
    for _ in range(FEW_ROUNDS):
        tokens = (await refresh(anybody, token)).json()
        before = await db.scalar(ended, {"id": person.user_id})
        assert await together(refresh(Caller(restarted), token) for _ in range(AT_ONCE)) == {400: AT_ONCE}
        assert await db.scalar(ended, {"id": person.user_id}) == before + 1
        await assert_ended(app, tokens)
        token = await unused(db, person, tokens["refresh_token"])


async def test_a_refresh_racing_sign_outs_leaves_nobody_signed_in(
    app: FastAPI, person: Person, phone: Caller, anybody: Caller, db: AsyncConnection
) -> None:
    """One refresh among nine sign-outs: by the token, of all devices, of this one."""
    token = person.refresh_token
    this_one = f"/v1/me/sessions/{(await person.get('/v1/me/sessions')).json()['items'][0]['id']}"
    for round_ in range(ROUNDS):
        place = round_ % AT_ONCE
        calls = [anybody.form("/oauth/revoke", client_id="xuezu-app", token=token) for _ in range(3)]
        calls += [phone.delete("/v1/me/sessions") for _ in range(3)]
        calls += [phone.delete(this_one) for _ in range(3)]
        calls.insert(place, refresh(anybody, token))
        answers = await asyncio.gather(*calls)
        refreshed = answers.pop(place)
        assert {answer.status for answer in answers} <= {200, 204, 401, 404}
        assert (await phone.get("/v1/me")).status == 401
        if refreshed.status == 200:
            await assert_ended(app, refreshed.json())
            token = refreshed.json()["refresh_token"]
        token = await unused(db, person, token)


async def test_a_removed_admins_next_call_is_refused(app: FastAPI, people: People, db: AsyncConnection) -> None:
    """Nine calls of an admin while the main admin removes them: each is answered, and the next one is not."""
    main_admin, admin = await people.register(), await people.register()
    org = await main_admin.create_org()
    await add_admin(main_admin, org, admin)
    main_caller, caller = Caller(app, main_admin.token), Caller(app, admin.token)
    one, units = f"/v1/orgs/{org['id']}/admins/{admin.user_id}", f"/v1/orgs/{org['id']}/units"
    held = (await db.execute(text("SELECT * FROM org_admins WHERE user_id = :id"), {"id": admin.user_id})).one()
    kept = dict(held._mapping)
    again = text(f"INSERT INTO org_admins ({', '.join(kept)}) VALUES ({', '.join(f':{name}' for name in kept)})")
    for round_ in range(ROUNDS):
        place = round_ % AT_ONCE
        calls = [caller.get(units) for _ in range(AT_ONCE - 1)]
        calls.insert(place, main_caller.delete(one))
        answers = await asyncio.gather(*calls)
        assert answers.pop(place).status == 204
        assert {answer.status for answer in answers} <= {200, 404}
        assert (await caller.get(units)).status == 404
        await db.execute(again, kept)


# Security keys


async def test_of_many_answers_to_a_challenge_one_is_taken(person: Person, phone: Caller, db: AsyncConnection) -> None:
    """Of a key that does not count: nothing but the challenge tells one answer from the next."""
    key = await register_key(person, counts=False)
    asked = await challenge(person, "check")
    which = {"id": asked["id"]}
    kept = (await db.execute(text("SELECT * FROM security_key_challenges WHERE id = :id"), which)).one()._mapping
    again = text(
        "INSERT INTO security_key_challenges (id, session_id, purpose, challenge, expires_at)"
        " VALUES (:id, :session_id, :purpose, :challenge, now() + interval '5 minutes')"
    )
    body = {"challenge_id": asked["id"], "credential": key.get(asked["options"])}
    for _ in range(FEW_ROUNDS):
        outcome = await together(phone.put("/v1/me/security-key-check", body) for _ in range(AT_ONCE))
        assert outcome == {200: 1, 403: AT_ONCE - 1}
        await db.execute(again, dict(kept))
