"""Security keys (S16): registration, names, proof in a session, and refusal of every invalid answer."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.auth.authenticator import SoftKey, prove_key, register_key, request_challenge, send_proof, send_registration
from tests.people import People, Person


@pytest.fixture
async def person(people: People) -> Person:
    return await people.register(verified=False, party=False)


def is_refused(answer: httpx.Response, status: int, slug: str) -> bool:
    found: dict[str, Any] = answer.json()
    return (answer.status_code, found["type"]) == (status, f"/problems/{slug}")


async def age_session(db: AsyncConnection, person: Person, by: timedelta) -> None:
    await db.execute(
        text(
            "UPDATE sessions SET created_at = created_at - CAST(:by AS interval),"
            " key_checked_at = key_checked_at - CAST(:by AS interval) WHERE user_id = :id"
        ),
        {"by": by, "id": person.user_id},
    )


async def test_key_is_registered_proved_renamed_and_removed(person: Person) -> None:
    key = await register_key(person)
    listed = (await person.get("/v1/me/security-keys")).json()["items"]
    assert [(item["name"], item["used_at"]) for item in listed] == [("测试钥匙", None)]
    proved = await send_proof(person, key)
    assert proved.status_code == 200
    path = f"/v1/me/security-keys/{listed[0]['id']}"
    assert (await person.patch(path, json={"name": "家里的钥匙"})).json()["name"] == "家里的钥匙"
    assert (await person.delete(path)).status_code == 204
    assert (await person.get("/v1/me/security-keys")).json()["items"] == []


async def test_first_key_after_an_old_sign_in_is_refused(person: Person, db: AsyncConnection) -> None:
    await age_session(db, person, timedelta(minutes=16))
    answer = await send_registration(person, SoftKey())
    assert is_refused(answer, 401, "fresh-sign-in-needed")
    assert 'error="insufficient_user_authentication"' in answer.headers["www-authenticate"]
    assert 'max_age="900"' in answer.headers["www-authenticate"]


async def test_another_key_without_a_fresh_proof_is_refused(person: Person, db: AsyncConnection) -> None:
    first = await register_key(person)
    answer = await send_registration(person, SoftKey())
    assert is_refused(answer, 401, "security-key-needed")
    assert 'acr_values="urn:xuezu:acr:security-key"' in answer.headers["www-authenticate"]
    await prove_key(person, first)
    second = await register_key(person)
    await age_session(db, person, timedelta(minutes=16))
    assert is_refused(await send_registration(person, SoftKey()), 401, "security-key-needed")
    await prove_key(person, second)
    assert (await send_registration(person, SoftKey())).status_code == 201


async def test_removal_of_a_key_without_a_fresh_proof_is_refused(person: Person) -> None:
    await register_key(person)
    key_id = (await person.get("/v1/me/security-keys")).json()["items"][0]["id"]
    assert is_refused(await person.delete(f"/v1/me/security-keys/{key_id}"), 401, "security-key-needed")


async def test_removed_key_ends_what_it_has_proved_in_all_sessions(people: People, person: Person) -> None:
    """A key that was lost may be in the session of a stranger."""
    lost = await prove_key(person)
    (first,) = (await person.get("/v1/me/security-keys")).json()["items"]
    spare = await register_key(person)
    elsewhere = await people.register(phone=person.phone, verified=False, party=False)
    await prove_key(elsewhere, lost)
    await prove_key(person, spare)
    assert (await person.delete(f"/v1/me/security-keys/{first['id']}")).status_code == 204
    assert is_refused(await send_registration(elsewhere, SoftKey()), 401, "security-key-needed")
    assert (await send_registration(person, SoftKey())).status_code == 201


async def test_proof_during_the_removal_of_its_key_ends_with_it(
    people: People, person: Person, engine: AsyncEngine
) -> None:
    lost = await prove_key(person)
    (first,) = (await person.get("/v1/me/security-keys")).json()["items"]
    await prove_key(person, await register_key(person))
    elsewhere = await people.register(phone=person.phone, verified=False, party=False)
    async with engine.begin() as blocking:
        of_key = text("SELECT FROM security_keys WHERE id = :id FOR UPDATE")
        await blocking.execute(of_key, {"id": first["id"]})
        both = {
            asyncio.ensure_future(send_proof(elsewhere, lost)),
            asyncio.ensure_future(person.delete(f"/v1/me/security-keys/{first['id']}")),
        }
        await asyncio.wait(both, timeout=0.15)
        assert not any(call.done() for call in both)
    statuses = {answer.status_code for answer in await asyncio.gather(*both)}
    assert statuses <= {200, 204, 403}
    assert is_refused(await send_registration(elsewhere, SoftKey()), 401, "security-key-needed")


async def test_key_proof_is_not_valid_in_another_session(people: People, person: Person) -> None:
    key = await prove_key(person)
    elsewhere = await people.register(phone=person.phone, verified=False, party=False)
    assert is_refused(await send_registration(elsewhere, SoftKey()), 401, "security-key-needed")
    await prove_key(elsewhere, key)


async def test_key_proof_by_a_user_without_keys_is_refused(person: Person) -> None:
    answer = await person.post("/v1/me/security-key-challenges", json={"purpose": "check"})
    assert is_refused(answer, 409, "no-security-key")


async def test_second_answer_to_a_challenge_is_refused(person: Person, db: AsyncConnection) -> None:
    key = await register_key(person)
    challenge = await request_challenge(person, "check")
    for status in (200, 403):
        given = {"challenge_id": challenge["id"], "credential": key.get(challenge["options"])}
        assert (await person.put("/v1/me/security-key-check", json=given)).status_code == status
    rows = await db.execute(
        text("SELECT action FROM audit_entries WHERE user_id = :id AND action LIKE 'security%' ORDER BY id"),
        {"id": person.user_id},
    )
    actions = [row.action for row in rows]
    assert actions == ["security_key.registered", "security_key.proved", "security_key.refused"]


async def test_challenge_with_a_wrong_answer_is_refused_afterwards(person: Person) -> None:
    key = await register_key(person)
    challenge = await request_challenge(person, "check")
    wrong = SoftKey(credential_id=key.credential_id)
    for answering in (wrong, key):
        given = {"challenge_id": challenge["id"], "credential": answering.get(challenge["options"])}
        answer = await person.put("/v1/me/security-key-check", json=given)
        assert is_refused(answer, 403, "security-key-refused")


async def test_challenge_of_another_purpose_session_or_time_is_refused(
    people: People, person: Person, db: AsyncConnection
) -> None:
    key = await register_key(person)
    challenge = await request_challenge(person, "registration")
    given = {"challenge_id": challenge["id"], "credential": key.get(challenge["options"] | {"rpId": "localhost"})}
    assert is_refused(await person.put("/v1/me/security-key-check", json=given), 403, "security-key-refused")
    elsewhere = await people.register(phone=person.phone, verified=False, party=False)
    challenge = await request_challenge(elsewhere, "check")
    given = {"challenge_id": challenge["id"], "credential": key.get(challenge["options"])}
    assert is_refused(await person.put("/v1/me/security-key-check", json=given), 403, "security-key-refused")
    challenge = await request_challenge(person, "check")
    await db.execute(
        text("UPDATE security_key_challenges SET expires_at = now() WHERE id = :id"), {"id": challenge["id"]}
    )
    given = {"challenge_id": challenge["id"], "credential": key.get(challenge["options"])}
    assert is_refused(await person.put("/v1/me/security-key-check", json=given), 403, "security-key-refused")


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:8000", "https://localhost:8000"])
async def test_credential_from_another_origin_is_refused(person: Person, origin: str) -> None:
    key = SoftKey(origin=origin)
    assert is_refused(await send_registration(person, key), 403, "security-key-refused")
    key.origin = "http://localhost:8000"
    assert (await send_registration(person, key)).status_code == 201
    key.origin = origin
    assert is_refused(await send_proof(person, key), 403, "security-key-refused")


async def test_key_proof_with_a_lower_signature_counter_is_refused(person: Person) -> None:
    key = await prove_key(person, await register_key(person))
    key.counter -= 1
    assert is_refused(await send_proof(person, key), 403, "security-key-refused")
    assert (await send_proof(person, key)).status_code == 200


async def test_key_of_another_user_is_refused(people: People, person: Person) -> None:
    other = await people.register(verified=False, party=False)
    theirs = await register_key(other)
    own = await register_key(person)
    assert is_refused(await send_proof(person, theirs), 403, "security-key-refused")
    await prove_key(person, own)
    assert is_refused(await send_registration(person, theirs), 409, "security-key-taken")
    key_id = (await other.get("/v1/me/security-keys")).json()["items"][0]["id"]
    assert (await person.patch(f"/v1/me/security-keys/{key_id}", json={"name": "x"})).status_code == 404
    assert (await person.delete(f"/v1/me/security-keys/{key_id}")).status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        {"id": "AAAA"},
        {"rawId": "AAAA"},
        {"type": "password"},
        {"response": {}},
        {"response": {"clientDataJSON": "e30", "attestationObject": "oA"}},
        {"response": {"clientDataJSON": "AAAA", "attestationObject": "AAAA"}},
        {"response": {"clientDataJSON": "W1tbW1tb", "attestationObject": "n5-fn5-f"}},
        {"response": {"clientDataJSON": "!", "attestationObject": "!"}},
        {"response": {"clientDataJSON": "A" * 30000, "attestationObject": "A"}},
    ],
    ids=lambda change: str(change)[:50],
)
async def test_malformed_credential_is_refused(person: Person, change: dict[str, Any]) -> None:
    challenge = await request_challenge(person, "registration")
    credential = SoftKey().create(challenge["options"]) | change
    given = {"challenge_id": challenge["id"], "name": "x", "credential": credential}
    assert (await person.post("/v1/me/security-keys", json=given)).status_code in {403, 422}
