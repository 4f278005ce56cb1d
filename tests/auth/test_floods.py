"""Floods of requests by strangers: the owner of a phone, other networks and existing accounts are served."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs

from app.auth.device_flow.authorizations import PICTURE_LIMIT
from app.auth.phone_codes.codes import CODE_CHECKS
from app.auth.phone_codes.limits import (
    GUESS_LIMIT,
    GUESS_USER_LIMIT,
    NETWORK_LIMIT,
    OVERALL_LIMIT,
    PHONE_CALLER_LIMIT,
    PHONE_FIRST_LIMIT,
    PHONE_LIMIT,
    SHARE_LIMIT,
)
from app.auth.rate_limits import RATE_LIMITED, Limit
from app.auth.security_keys.keys import CHALLENGE_LIMIT
from app.core.cipher import hash_secret
from tests.auth.authenticator import request_challenge
from tests.auth.consoles import DESKTOP
from tests.auth.test_accounts import request_phone_change
from tests.people import People, Person, fresh_phone
from tests.phone_codes import change_code, request_code

HOME, ABROAD, STRANGER, STRANGERS = "203.0.113.5", "2001:db8:5:1::1", "198.51.100.7", "198.51.100.0/24"
Given = dict[str, str]


@pytest.fixture(autouse=True)
async def _full_buckets(db: AsyncConnection) -> AsyncIterator[None]:
    """Buckets are shared by all tests of a database: each of these tests begins and ends with full ones."""
    await db.execute(text("DELETE FROM rate_limits"))
    yield
    await db.execute(text("DELETE FROM rate_limits"))


@pytest.fixture
async def person(people: People) -> Person:
    return await people.register(verified=False, party=False)


def from_address(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


async def send_code(api: httpx.AsyncClient, phone: str, address: str) -> httpx.Response:
    return await api.post("/v1/phone-codes", json={"phone": phone}, headers=from_address(address))


async def redeem(api: httpx.AsyncClient, given: Given, address: str, **other: str) -> httpx.Response:
    grant = {"grant_type": "urn:xuezu:params:oauth:grant-type:phone-code", "client_id": "xuezu-app"}
    return await api.post("/oauth/token", data=grant | given | other, headers=from_address(address))


async def register(api: httpx.AsyncClient, address: str) -> str:
    """Register a phone from this address, and return it."""
    given = await request_code(api, fresh_phone())
    assert (await redeem(api, given, address)).status_code == 200
    return given["phone"]


async def use_bucket(db: AsyncConnection, limit: Limit, subject: str, part: float) -> None:
    """Use this part of a bucket; 1 leaves it empty, and more than 1 for longer than until the next token."""
    bucket = {"key": f"{limit.name}:{subject}", "used": limit.depth * part}
    await db.execute(
        text(
            "INSERT INTO rate_limits VALUES (:key, now() + CAST(:used AS interval))"
            " ON CONFLICT (key) DO UPDATE SET full_at = excluded.full_at"
        ),
        bucket,
    )


async def is_share_used(db: AsyncConnection) -> bool:
    """Return whether a request has taken from the share of the stranger's network."""
    used = text("SELECT full_at > now() FROM rate_limits WHERE key = :key")
    return bool(await db.scalar(used, {"key": f"{SHARE_LIMIT.name}:{STRANGERS}"}))


async def use_phone_buckets(api: httpx.AsyncClient, db: AsyncConnection, phone: str) -> None:
    """Use up what all strangers together may request for a phone."""
    handle = (await send_code(api, phone, "192.0.2.200")).json()["handle"]
    find_index = text("SELECT encode(phone_index, 'hex') FROM phone_codes WHERE handle_hash = :hash")
    index = str(await db.scalar(find_index, {"hash": hash_secret(handle)}))
    for limit in (PHONE_FIRST_LIMIT, PHONE_LIMIT):
        await use_bucket(db, limit, index, 1)


def assert_limited(answer: httpx.Response, at_most: timedelta) -> None:
    assert answer.status_code == 429, answer.text
    assert 1 <= int(answer.headers["retry-after"]) <= at_most.total_seconds() + 1


async def test_owner_signs_in_during_a_flood_of_codes_and_guesses(api: httpx.AsyncClient) -> None:
    """A stranger requests all codes that one network gets for the phone, and guesses with each handle."""
    phone = await register(api, HOME)
    owner = await request_code(api, phone)
    refused: list[httpx.Response] = []
    for host in range(12):
        sent = await send_code(api, phone, f"198.51.100.{host}")
        if sent.status_code == 429:
            refused.append(sent)
            continue
        guess = owner | {"handle": sent.json()["handle"], "code": change_code(owner["code"])}
        assert [(await redeem(api, guess, STRANGER)).status_code for _ in range(3)] == [400] * 3
    assert len(refused) == 2
    assert_limited(refused[0], PHONE_CALLER_LIMIT.wide.every)
    assert (await redeem(api, owner, HOME)).status_code == 200
    for address in (HOME, "203.0.113.99", ABROAD):
        assert (await send_code(api, phone, address)).status_code == 202, address


async def test_strangers_of_many_networks_do_not_shut_the_owner_out(
    api: httpx.AsyncClient, people: People, db: AsyncConnection
) -> None:
    """A network from which the account was used, and a signed-in user, get codes; a new network waits."""
    phone = await register(api, HOME)
    person = await people.register(phone=phone, verified=False, party=False)
    await use_phone_buckets(api, db, phone)
    assert_limited(await send_code(api, phone, ABROAD), PHONE_FIRST_LIMIT.every)
    assert (await send_code(api, phone, HOME)).status_code == 202
    assert (await person.post("/v1/me/old-phone-codes")).status_code == 202
    assert (await person.post("/v1/me/closing-codes")).status_code == 202


@pytest.mark.parametrize("address", ["198.51.100.{}", "2001:db8:7:{}::1"])
async def test_addresses_of_one_network_share_its_part(
    api: httpx.AsyncClient, db: AsyncConnection, address: str
) -> None:
    wide = {"198.51.100.{}": "198.51.100.0/24", "2001:db8:7:{}::1": "2001:db8:7::/48"}[address]
    await use_bucket(db, NETWORK_LIMIT.wide, wide, 2)
    for host in (1, 2):
        assert_limited(await send_code(api, fresh_phone(), address.format(host)), NETWORK_LIMIT.wide.depth)
    assert (await send_code(api, fresh_phone(), HOME)).status_code == 202


async def test_networks_have_a_fair_share_when_messages_run_low(api: httpx.AsyncClient, db: AsyncConnection) -> None:
    """A network that has sent many messages before waits then, and another network does not."""
    assert (await send_code(api, fresh_phone(), STRANGER)).status_code == 202
    assert await is_share_used(db)
    await use_bucket(db, SHARE_LIMIT, STRANGERS, 1.5)
    assert (await send_code(api, fresh_phone(), STRANGER)).status_code == 202
    await use_bucket(db, SHARE_LIMIT, STRANGERS, 1.5)
    await use_bucket(db, OVERALL_LIMIT, "all", 0.7)
    assert_limited(await send_code(api, fresh_phone(), STRANGER), SHARE_LIMIT.depth)
    assert (await send_code(api, fresh_phone(), HOME)).status_code == 202


async def test_accounts_are_served_first_when_messages_are_scarce(api: httpx.AsyncClient, db: AsyncConnection) -> None:
    """The refusals take from the share of the network too, so it limits how many phones a caller can try."""
    phones = [await register(api, HOME) for _ in range(2)]
    await use_bucket(db, OVERALL_LIMIT, "all", 0.95)
    assert (await send_code(api, phones[0], ABROAD)).status_code == 202
    assert_limited(await send_code(api, fresh_phone(), STRANGER), OVERALL_LIMIT.depth)
    assert await is_share_used(db)
    await use_bucket(db, SHARE_LIMIT, STRANGERS, 1.5)
    assert_limited(await send_code(api, phones[1], STRANGER), SHARE_LIMIT.depth)
    assert (await send_code(api, phones[1], ABROAD)).status_code == 202


async def test_guesses_over_many_phones_are_limited_and_logged(api: httpx.AsyncClient, db: AsyncConnection) -> None:
    await use_bucket(db, GUESS_LIMIT.narrow, STRANGER, 1 - 6.5 / GUESS_LIMIT.narrow.burst)
    codes = [await request_code(api, fresh_phone()) for _ in range(4)]
    before, limited = CODE_CHECKS.read_numbers(), RATE_LIMITED.read_numbers()
    with capture_logs() as logged:
        for given in codes[:3]:
            for _ in range(2):
                answer = await redeem(api, given, STRANGER, code=change_code(given["code"]))
                assert answer.status_code == 400
        refused = await redeem(api, codes[3], STRANGER)
    assert_limited(refused, GUESS_LIMIT.narrow.every)
    assert refused.json()["error"] == "temporarily_unavailable"
    lines = [line for line in logged if line["event"] == "phone_codes_guessed"]
    assert [(line["limit"], line["caller"]) for line in lines] == [(GUESS_LIMIT.narrow.name, STRANGER)]
    assert not any(given["phone"] in str(logged) for given in codes)
    after = CODE_CHECKS.read_numbers()
    assert after["sign-in", "wrong"] - before.get(("sign-in", "wrong"), 0) == 6
    name = (GUESS_LIMIT.narrow.name,)
    assert RATE_LIMITED.read_numbers()[name] - limited.get(name, 0) == 1
    assert (await redeem(api, codes[3], HOME)).status_code == 200


async def test_wrong_codes_count_where_the_last_guess_is_used(person: Person, db: AsyncConnection) -> None:
    """The answer to a change of the phone with two wrong codes tells nothing that is not counted."""
    await use_bucket(db, GUESS_USER_LIMIT, person.user_id, 1 - 1.5 / GUESS_USER_LIMIT.burst)
    body = await request_phone_change(person, fresh_phone())
    wrong = {field: change_code(body[field]) for field in ("code", "old_phone_code")}
    assert (await person.put("/v1/me/phone", json=body | wrong)).status_code == 403
    assert_limited(await person.put("/v1/me/phone", json=body), GUESS_USER_LIMIT.every)
    tries = text("SELECT tries FROM phone_codes WHERE handle_hash = :hash")
    for field in ("handle", "old_phone_handle"):
        assert await db.scalar(tries, {"hash": hash_secret(body[field])}) == 1


async def test_pictures_of_qr_codes_are_limited_by_network(api: httpx.AsyncClient, db: AsyncConnection) -> None:
    code = (await api.post("/oauth/device_authorization", data={"client_id": DESKTOP})).json()["user_code"]
    await use_bucket(db, PICTURE_LIMIT.wide, STRANGERS, 2)
    for name in ("qr.svg", "qr.png"):
        path = f"/v1/device-authorizations/{code}/{name}"
        assert_limited(await api.get(path, headers=from_address(STRANGER)), PICTURE_LIMIT.wide.depth)
        assert (await api.get(path, headers=from_address(HOME))).status_code == 200


async def test_challenges_of_security_keys_are_limited_by_user(
    people: People, person: Person, db: AsyncConnection
) -> None:
    other = await people.register(verified=False, party=False)
    await use_bucket(db, CHALLENGE_LIMIT, person.user_id, 1.5)
    body = {"purpose": "registration"}
    assert_limited(await person.post("/v1/me/security-key-challenges", json=body), CHALLENGE_LIMIT.depth)
    assert await request_challenge(other, "registration")
