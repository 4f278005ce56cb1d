"""Races of ten concurrent calls: each race has exactly one allowed outcome. A proof run plays ten thousand rounds.

Preparing each round over HTTP would take most of the time, so SQL restores the state from before the round.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor
from app.auth import sessions
from app.auth.accounts.registration import find_or_register_user
from app.core.cipher import CIPHER, hash_secret
from app.core.settings import Settings
from app.database.db import ENGINE
from app.main import create_app
from tests.acts import add_admin
from tests.auth.authenticator import register_key, request_challenge
from tests.auth.concurrent_calls import Answer, Caller, gather_statuses
from tests.auth.consoles import DESKTOP, DEVICE_GRANT, Console, scan
from tests.auth.operator_accounts import create_operator
from tests.people import People, Person, fresh_phone
from tests.phone_codes import request_code

PROOF = os.environ.get("XUEZU_PROOF") == "1"
ROUNDS = 10_000 if PROOF else 100
FEW_ROUNDS = 10_000 if PROOF else 25
"""The rounds of a race that failed in its first or second round, in three runs, after its guard was removed."""
AT_ONCE = 10

pytestmark = [pytest.mark.proof, pytest.mark.usefixtures("day_long_tokens")]


@pytest.fixture
async def person(people: People) -> Person:
    return await people.register(verified=False, party=False)


@pytest.fixture
def phone(app: FastAPI, person: Person) -> Caller:
    return Caller(app, person.token)


@pytest.fixture(scope="module")
async def other_phones(app: FastAPI, people: People) -> list[Caller]:
    """Return nine callers, each the phone of another user."""
    return [Caller(app, (await people.register(verified=False, party=False)).token) for _ in range(AT_ONCE - 1)]


@pytest.fixture
def anonymous(app: FastAPI) -> Caller:
    """Return a caller without an access token, like the clients of the token endpoint."""
    return Caller(app)


# Phone codes


class PhoneCode:
    """A code that was sent to a phone, and the sign-in with it."""

    def __init__(self, caller: Caller, db: AsyncConnection, given: dict[str, str]) -> None:
        self.caller, self.db, self.given, self.code = caller, db, given, given["code"]

    async def renew(self) -> int:
        """Make the code unused again. Return the number of tries so far."""
        statement = text(
            "UPDATE phone_codes SET used_at = NULL, tries = 0, expires_at = now() + interval '5 minutes'"
            " WHERE handle_hash = :handle_hash RETURNING old.tries"
        )
        return int((await self.db.execute(statement, {"handle_hash": hash_secret(self.given["handle"])})).scalar_one())

    async def sign_in(self, code: str) -> Answer:
        grant = {"grant_type": "urn:xuezu:params:oauth:grant-type:phone-code", "client_id": "xuezu-app"}
        return await self.caller.form("/oauth/token", **(grant | self.given | {"code": code}))


@pytest.fixture
async def phone_code(api: httpx.AsyncClient, anonymous: Caller, db: AsyncConnection) -> PhoneCode:
    return PhoneCode(anonymous, db, await request_code(api, fresh_phone()))


async def test_concurrent_sign_ins_with_one_code_give_one_session(phone_code: PhoneCode) -> None:
    for _ in range(FEW_ROUNDS):
        await phone_code.renew()
        outcome = await gather_statuses(phone_code.sign_in(phone_code.code) for _ in range(AT_ONCE))
        assert outcome == {200: 1, 400: AT_ONCE - 1}


async def test_concurrent_guesses_count_five_tries(phone_code: PhoneCode) -> None:
    """After five wrong tries the code is refused, even if the right one is sent."""
    wrong = [f"{(int(phone_code.code) + guess) % 1_000_000:06d}" for guess in range(1, AT_ONCE + 1)]
    for _ in range(FEW_ROUNDS):
        assert await gather_statuses(phone_code.sign_in(guess) for guess in wrong) == {400: AT_ONCE}
        assert await phone_code.renew() == 5


async def test_concurrent_first_sign_ins_register_one_account(app: FastAPI) -> None:
    """Concurrent first sign-ins of one phone register one user."""
    cipher = CIPHER.get(app)

    async def register(phone: str) -> str:
        async with ENGINE.get(app).begin() as connection:
            return str((await find_or_register_user(connection, cipher, Actor(), phone)).id)

    for _ in range(FEW_ROUNDS):
        phone = fresh_phone()
        assert len(set(await asyncio.gather(*(register(phone) for _ in range(AT_ONCE))))) == 1


# The scan


class ScannedCode:
    """A scanned console and the calls on its scan."""

    def __init__(self, db: AsyncConnection, console: Console, poller: Caller, scan_id: str) -> None:
        self.db, self.console, self.poller = db, console, poller
        self.path = f"/v1/scans/{scan_id}"

    async def set_state(self, state: str) -> None:
        statement = (
            "UPDATE device_authorizations SET state = CAST(:state AS text), wrong_numbers = 0,"
            " scanned_session_id = CASE WHEN :state <> 'pending' THEN scanned_session_id END,"
            " expires_at = now() + interval '3 minutes' WHERE user_code = :code"
        )
        await self.db.execute(text(statement), {"state": state, "code": self.console.user_code})

    async def approve(self, caller: Caller, end: str = "") -> Answer:
        proof = {"user_code_end": end} if end else self.console.proof
        return await caller.put(f"{self.path}/approval", proof)

    async def refuse(self, caller: Caller) -> Answer:
        return await caller.put(f"{self.path}/refusal")

    async def poll(self) -> Answer:
        secret = {"client_id": DESKTOP, "device_code": self.console.device_code}
        return await self.poller.form("/oauth/token", grant_type=DEVICE_GRANT, **secret)


@pytest.fixture
async def scanned(person: Person, anonymous: Caller, db: AsyncConnection) -> ScannedCode:
    console = await Console.request(person.api)
    found = await scan(person, console)
    return ScannedCode(db, console, anonymous, found["id"])


async def test_concurrent_scans_by_ten_phones_accept_one(
    other_phones: list[Caller], phone: Caller, scanned: ScannedCode
) -> None:
    body = {"code": scanned.console.user_code}
    for _ in range(FEW_ROUNDS):
        await scanned.set_state("pending")
        await scanned.db.execute(text("DELETE FROM rate_limits WHERE key LIKE 'scan-user:%'"))
        outcome = await gather_statuses(caller.post("/v1/scans", body) for caller in [phone, *other_phones])
        assert outcome == {201: 1, 409: AT_ONCE - 1}


async def test_concurrent_approvals_accept_only_the_scanning_phone(
    other_phones: list[Caller], phone: Caller, scanned: ScannedCode
) -> None:
    for round_ in range(ROUNDS):
        await scanned.set_state("scanned")
        place = round_ % AT_ONCE
        answers = await asyncio.gather(
            *(scanned.approve(caller) for caller in [*other_phones[:place], phone, *other_phones[place:]])
        )
        assert Counter(answer.status for answer in answers) == {200: 1, 404: AT_ONCE - 1}
        assert answers[place].status == 200


async def test_concurrent_approvals_and_refusals_make_one_decision(phone: Caller, scanned: ScannedCode) -> None:
    for _ in range(FEW_ROUNDS):
        await scanned.set_state("scanned")
        calls = [scanned.approve(phone) for _ in range(AT_ONCE // 2)]
        calls += [scanned.refuse(phone) for _ in range(AT_ONCE // 2)]
        answers = await asyncio.gather(*calls)
        # The other decisions of the same kind are repetitions.
        assert Counter(answer.status for answer in answers) == {200: AT_ONCE // 2, 409: AT_ONCE // 2}
        (decided,) = {answer.json()["state"] for answer in answers if answer.status == 200}
        assert (await scanned.poll()).status == (200 if decided == "approved" else 400), decided


async def test_concurrent_wrong_proofs_count_three(phone: Caller, scanned: ScannedCode) -> None:
    wrong = [f"AAA{letter}" for letter in "BCDFGHJKLM"]  # no code has an A
    for _ in range(FEW_ROUNDS):
        await scanned.set_state("scanned")
        answers = await asyncio.gather(*(scanned.approve(phone, guess) for guess in wrong))
        slugs = Counter(answer.slug for answer in answers)
        assert slugs == {"wrong-number": 3, "scan-decided": AT_ONCE - 3}


async def test_concurrent_redemptions_give_one_session(scanned: ScannedCode) -> None:
    for _ in range(FEW_ROUNDS):
        await scanned.set_state("approved")
        assert await gather_statuses(scanned.poll() for _ in range(AT_ONCE)) == {200: 1, 400: AT_ONCE - 1}


async def is_signed_in(db: AsyncConnection, person: Person) -> bool:
    live = "SELECT EXISTS (SELECT FROM sessions WHERE user_id = :id AND ended_at IS NULL)"
    return bool(await db.scalar(text(live), {"id": person.user_id}))


async def delete_console_sessions(db: AsyncConnection, person: Person) -> None:
    """Delete all sessions except the first, which is the phone's, and make that one live again."""
    first = "(SELECT id FROM sessions WHERE user_id = :id ORDER BY id LIMIT 1)"
    for statement in (
        f"DELETE FROM sessions WHERE user_id = :id AND id <> {first}",
        "UPDATE sessions SET ended_at = NULL WHERE user_id = :id",
    ):
        await db.execute(text(statement), {"id": person.user_id})


@pytest.mark.parametrize("by", ["a suspension", "a sign-out"])
async def test_redemption_during_a_suspension_or_sign_out_leaves_no_session(
    app: FastAPI, people: People, person: Person, phone: Caller, scanned: ScannedCode, by: str
) -> None:
    """Nine calls redeem while the user is suspended or signs out everywhere. The newest session ends too."""
    operator = Caller(app, (await create_operator(app, people)).token)
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
        assert answers.pop(place).status in {200, 204}
        redeemed = Counter(answer.status for answer in answers)
        assert redeemed in ({200: 1, 400: AT_ONCE - 2}, {400: AT_ONCE - 1})
        assert not await is_signed_in(scanned.db, person)
        if by == "a suspension":
            assert (await operator.delete(f"/v1/operator/suspensions/{person.user_id}")).status == 204
        await delete_console_sessions(scanned.db, person)


async def test_redemption_during_a_revocation_leaves_no_session(
    app: FastAPI, people: People, person: Person, anonymous: Caller, db: AsyncConnection
) -> None:
    """Nine calls redeem codes while their client is revoked. No session of the client stays live, not even the
    newest."""
    operator = Caller(app, (await create_operator(app, people)).token)
    body = {"name": "桌面程序", "kind": "device", "scopes": ["account:read"]}
    client_id = (await operator.post("/v1/operator/clients", body)).json()["client_id"]
    console = await Console.request(person.api, client_id)
    await scan(person, console)
    secret = {"client_id": client_id, "device_code": console.device_code}
    live = text("SELECT count(*) FROM sessions WHERE client_id = :client AND ended_at IS NULL")
    again = text(
        "WITH back AS (UPDATE oauth_clients SET revoked_at = NULL WHERE id = :client),"
        " ended AS (DELETE FROM sessions WHERE client_id = :client)"
        " UPDATE device_authorizations SET state = 'approved', expires_at = now() + interval '3 minutes'"
        " WHERE client_id = :client"
    )
    which = {"client": client_id}
    for round_ in range(FEW_ROUNDS):
        await db.execute(again, which)
        place = round_ % AT_ONCE
        calls = [anonymous.form("/oauth/token", grant_type=DEVICE_GRANT, **secret) for _ in range(AT_ONCE - 1)]
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


async def make_unused(db: AsyncConnection, person: Person, token: str) -> str:
    """Make the sessions live again and this token unused. Return the token."""
    await db.execute(text("UPDATE sessions SET ended_at = NULL WHERE user_id = :id"), {"id": person.user_id})
    statement = "UPDATE refresh_tokens SET used_at = NULL WHERE token_hash = :hash"
    await db.execute(text(statement), {"hash": hash_secret(token)})
    return token


@pytest.fixture
def without_repeat_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every repeated use of a refresh token comes after the time in which a lost answer can be repeated."""
    monkeypatch.setattr(sessions, "REPEAT_WINDOW", timedelta(minutes=-1))


async def delete_other_tokens(db: AsyncConnection, person: Person, token: str) -> None:
    others = (
        "DELETE FROM refresh_tokens AS t USING sessions AS s"
        " WHERE s.id = t.session_id AND s.user_id = :id AND t.token_hash <> :hash"
    )
    await db.execute(text(others), {"id": person.user_id, "hash": hash_secret(token)})


async def test_concurrent_refreshes_with_one_token_leave_one_token(
    person: Person, anonymous: Caller, db: AsyncConnection
) -> None:
    """The calls come within the time in which a lost answer can be repeated, and from one address, so all are
    accepted."""
    unused = text(
        "SELECT count(*) FROM refresh_tokens AS t JOIN sessions AS s ON s.id = t.session_id"
        " WHERE s.user_id = :id AND t.used_at IS NULL"
    )
    token = person.refresh_token
    for _ in range(FEW_ROUNDS):
        answers = await asyncio.gather(*(refresh(anonymous, token) for _ in range(AT_ONCE)))
        assert Counter(answer.status for answer in answers) == {200: AT_ONCE}
        assert await db.scalar(unused, {"id": person.user_id}) == 1
        token = await make_unused(db, person, token)
        await delete_other_tokens(db, person, token)


async def test_concurrent_use_and_repetition_leave_at_most_one_token(
    person: Person, anonymous: Caller, db: AsyncConnection
) -> None:
    """The client uses its new token while a thief repeats the call that returned this token. Either one of them gets
    tokens, or the session ends."""
    unused = text(
        "SELECT count(*) FROM refresh_tokens AS t JOIN sessions AS s ON s.id = t.session_id"
        " WHERE s.user_id = :id AND t.used_at IS NULL AND s.ended_at IS NULL"
    )
    token = person.refresh_token
    for _ in range(FEW_ROUNDS):
        new = (await refresh(anonymous, token)).json()["refresh_token"]
        await asyncio.gather(refresh(anonymous, new), refresh(anonymous, token))
        assert await db.scalar(unused, {"id": person.user_id}) <= 1
        token = await make_unused(db, person, token)
        await delete_other_tokens(db, person, token)


@pytest.mark.usefixtures("without_repeat_window")
async def test_concurrent_late_refreshes_with_one_token_succeed_once_and_end_the_session(
    app: FastAPI, person: Person, anonymous: Caller, db: AsyncConnection
) -> None:
    token = person.refresh_token
    for _ in range(FEW_ROUNDS):
        answers = await asyncio.gather(*(refresh(anonymous, token) for _ in range(AT_ONCE)))
        assert Counter(answer.status for answer in answers) == {200: 1, 400: AT_ONCE - 1}
        won = next(answer.json() for answer in answers if answer.status == 200)
        await assert_ended(app, won)
        token = await make_unused(db, person, won["refresh_token"])


@pytest.fixture
async def restarted(settings: Settings) -> AsyncIterator[FastAPI]:
    """Yield an app of a process that has just started and has no state in memory."""
    application = create_app(settings)
    async with application.router.lifespan_context(application):
        yield application


@pytest.mark.usefixtures("without_repeat_window")
async def test_concurrent_reuses_after_a_restart_end_the_session_once(
    app: FastAPI, restarted: FastAPI, person: Person, anonymous: Caller, db: AsyncConnection
) -> None:
    token = person.refresh_token
    ended = text(
        "SELECT count(*) FROM audit_entries AS a JOIN sessions AS s ON s.id = a.subject_id"
        " WHERE s.user_id = :id AND a.action = 'session.ended' AND a.after->>'reason' = 'refresh-token-reused'"
    )
    for _ in range(FEW_ROUNDS):
        tokens = (await refresh(anonymous, token)).json()
        before = await db.scalar(ended, {"id": person.user_id})
        assert await gather_statuses(refresh(Caller(restarted), token) for _ in range(AT_ONCE)) == {400: AT_ONCE}
        assert await db.scalar(ended, {"id": person.user_id}) == before + 1
        await assert_ended(app, tokens)
        token = await make_unused(db, person, tokens["refresh_token"])


async def test_refresh_during_sign_outs_leaves_no_session(
    app: FastAPI, person: Person, phone: Caller, anonymous: Caller, db: AsyncConnection
) -> None:
    """One refresh runs beside nine sign-outs: three by the token, three of all devices, three of this device."""
    token = person.refresh_token
    this_one = f"/v1/me/sessions/{(await person.get('/v1/me/sessions')).json()['items'][0]['id']}"
    for round_ in range(ROUNDS):
        place = round_ % AT_ONCE
        calls = [anonymous.form("/oauth/revoke", client_id="xuezu-app", token=token) for _ in range(3)]
        calls += [phone.delete("/v1/me/sessions") for _ in range(3)]
        calls += [phone.delete(this_one) for _ in range(3)]
        calls.insert(place, refresh(anonymous, token))
        answers = await asyncio.gather(*calls)
        refreshed = answers.pop(place)
        assert {answer.status for answer in answers} <= {200, 204, 401, 404}
        assert (await phone.get("/v1/me")).status == 401
        if refreshed.status == 200:
            await assert_ended(app, refreshed.json())
            token = refreshed.json()["refresh_token"]
        token = await make_unused(db, person, token)


async def test_next_call_of_a_removed_admin_is_refused(app: FastAPI, people: People, db: AsyncConnection) -> None:
    """Nine calls of an admin run while the main admin removes them. Each is 200 or 404, and the next call is 404."""
    main_admin, admin = await people.register(), await people.register()
    org = await main_admin.create_org()
    await add_admin(main_admin, org, admin)
    main_caller, caller = Caller(app, main_admin.token), Caller(app, admin.token)
    admin_path, units = f"/v1/orgs/{org['id']}/admins/{admin.user_id}", f"/v1/orgs/{org['id']}/units"
    row = (await db.execute(text("SELECT * FROM org_admins WHERE user_id = :id"), {"id": admin.user_id})).one()
    columns = dict(row._mapping)
    again = text(f"INSERT INTO org_admins ({', '.join(columns)}) VALUES ({', '.join(f':{name}' for name in columns)})")
    for round_ in range(ROUNDS):
        place = round_ % AT_ONCE
        calls = [caller.get(units) for _ in range(AT_ONCE - 1)]
        calls.insert(place, main_caller.delete(admin_path))
        answers = await asyncio.gather(*calls)
        assert answers.pop(place).status == 204
        assert {answer.status for answer in answers} <= {200, 404}
        assert (await caller.get(units)).status == 404
        await db.execute(again, columns)


# Security keys


async def test_concurrent_answers_to_one_challenge_accept_one(
    person: Person, phone: Caller, db: AsyncConnection
) -> None:
    """The key has no counter, so only the challenge prevents a second use of the answer."""
    key = await register_key(person, counts=False)
    issued = await request_challenge(person, "check")
    which = {"id": issued["id"]}
    stored = (await db.execute(text("SELECT * FROM security_key_challenges WHERE id = :id"), which)).one()._mapping
    again = text(
        "INSERT INTO security_key_challenges (id, session_id, purpose, challenge, expires_at)"
        " VALUES (:id, :session_id, :purpose, :challenge, now() + interval '5 minutes')"
    )
    body = {"challenge_id": issued["id"], "credential": key.get(issued["options"])}
    for _ in range(FEW_ROUNDS):
        outcome = await gather_statuses(phone.put("/v1/me/security-key-check", body) for _ in range(AT_ONCE))
        assert outcome == {200: 1, 403: AT_ONCE - 1}
        await db.execute(again, dict(stored))
