"""Recoveries of an account by the real name: proofs, refusals, and what changes while one is applied."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.auth.recoveries.completion import complete_recovery
from app.core.cipher import CIPHER
from app.worker.retention import CLEAN_UPS, run_clean_up
from tests.acts import Json, get_body, get_refusal, list_all
from tests.auth.operator_accounts import create_operator
from tests.auth.recovery_calls import (
    PATH,
    Work,
    consent,
    create_verified,
    let_time_pass,
    read,
    request_by_name,
    request_change,
    run_due,
)
from tests.auth.test_accounts import close_account, request_change_code, request_closure, request_phone_change
from tests.people import People, Person, fresh_id_card_number, fresh_phone, name_person
from tests.phone_codes import request_code


@pytest.fixture
async def verified(people: People) -> tuple[Person, str]:
    """A verified person with their ID number."""
    return await create_verified(people)


@pytest.fixture
def person(verified: tuple[Person, str]) -> Person:
    return verified[0]


@pytest.fixture
def id_number(verified: tuple[Person, str]) -> str:
    return verified[1]


@pytest.fixture
async def waiting(person: Person, id_number: str) -> tuple[Json, str]:
    """A change of the phone that is proved, and the new phone."""
    phone = fresh_phone()
    made = await request_change(person, phone, id_number)
    await consent(person, made)
    return made, phone


async def test_id_card_proves_a_recovery_after_the_review(
    app: FastAPI, people: People, person: Person, id_number: str
) -> None:
    operator = await create_operator(app, people)
    new = await people.register(verified=False, party=False, name=person.name)
    proof = name_person(person.name, id_number, "id-card")
    made = await request_by_name(new, id_number, proof=proof)
    assert made["redirect_url"] is None
    assert await list_all(new, "/v1/me/verifications") == []
    items = await list_all(operator, "/v1/operator/verifications", limit=200)
    (waiting,) = [item for item in items if item["proves_recovery"]][-1:]
    at = f"/v1/operator/verifications/{waiting['id']}"
    assert get_body(await operator.put(f"{at}/review"))["id_number"] == id_number
    get_body(await operator.put(f"{at}/approval"), 204)
    assert (await read(new, made))["state"] == "waiting"
    assert get_body(await new.get("/v1/me"))["verified_name"] is None
    get_body(await new.put(f"{PATH}/{made['id']}/stop"), 204)
    again = await request_by_name(new, id_number, proof=proof)
    (waiting,) = [item for item in await list_all(operator, "/v1/operator/verifications") if item["proves_recovery"]][
        -1:
    ]
    at = f"/v1/operator/verifications/{waiting['id']}"
    get_body(await operator.put(f"{at}/review"))
    get_body(await operator.put(f"{at}/rejection", json={"reason": "not-the-person"}), 204)
    shown = await read(new, again)
    assert (shown["state"], shown["reason"]) == ("refused", "not-the-person")
    third = await request_by_name(new, id_number, proof=proof)
    get_body(await new.put(f"{PATH}/{third['id']}/stop"), 204)
    assert not [item for item in await list_all(operator, "/v1/operator/verifications") if item["proves_recovery"]]


async def test_proof_of_another_person_or_of_no_account_is_refused(
    people: People, person: Person, id_number: str
) -> None:
    for name, number in ((person.name, fresh_id_card_number()), ("欧阳另人", id_number)):
        made = await request_change(person, fresh_phone(), number, name=name)
        await consent(person, made)
        shown = await read(person, made)
        assert (shown["state"], shown["reason"]) == ("refused", "identity-differs")
    new = await people.register(verified=False, party=False, name=person.name)
    made = await request_by_name(new, fresh_id_card_number())
    await consent(new, made)
    assert (await read(new, made))["reason"] == "no-account"
    assert "account-recovery-refused" in {message["kind"] for message in await list_all(new, "/v1/messages")}


async def test_refused_requests(app: FastAPI, people: People, person: Person, id_number: str) -> None:
    plain, operator = await people.register(verified=False), await create_operator(app, people)
    proof = name_person(person.name, id_number)
    phone = fresh_phone()
    body = {"kind": "phone-change", "phone": phone, "proof": proof, **await request_change_code(plain, phone)}
    assert get_refusal(await plain.post(PATH, json=body)) == (403, "real-name-required")
    lost = {"kind": "lost-phone", "proof": proof}
    assert get_refusal(await person.post(PATH, json=lost)) == (409, "already-verified")
    assert get_refusal(await operator.post(PATH, json=lost)) == (409, "is-operator")
    assert get_refusal(await person.post(PATH, json=body)) == (403, "code-refused"), "the code is another account's"
    taken = await request_change_code(person, plain.phone)
    of_taken = body | {"phone": plain.phone} | taken
    assert get_refusal(await person.post(PATH, json=of_taken)) == (409, "phone-taken")
    get_body(await plain.post(PATH, json=lost), 201)
    assert get_refusal(await plain.post(PATH, json=lost)) == (409, "recovery-open")
    made = await request_change(person, fresh_phone(), id_number)
    another = await people.register(verified=False, name=person.name)
    await consent(person, made)
    second = await request_by_name(another, id_number)
    await consent(another, second)
    assert (await read(another, second))["reason"] == "another-waiting", "one waits for an account at a time"


async def test_overdue_proof_expires_and_makes_room(
    person: Person, id_number: str, engine: AsyncEngine, db: AsyncConnection
) -> None:
    made = await request_change(person, fresh_phone(), id_number)
    late = text("UPDATE account_recoveries SET expires_at = now() - interval '1 second' WHERE id = :id")
    await db.execute(late, {"id": made["id"]})
    again = await request_change(person, fresh_phone(), id_number)
    assert (await read(person, made))["state"] == "expired"
    await db.execute(late, {"id": again["id"]})
    (clean_up,) = [entry for entry in CLEAN_UPS if entry.name == "account-recoveries"]
    assert await run_clean_up(engine, clean_up) >= 1
    assert (await read(person, again))["state"] == "expired"


# What happens at the same time


async def apply_during(
    app: FastAPI, engine: AsyncEngine, db: AsyncConnection, made: Json, act: Callable[[], Awaitable[httpx.Response]]
) -> httpx.Response:
    """Apply the recovery in a transaction during which the call begins; return the answer of the call."""
    await let_time_pass(db, made)
    async with engine.begin() as applying:
        await complete_recovery(applying, CIPHER.get(app), made["id"])
        calling = asyncio.ensure_future(act())
        await asyncio.wait({calling}, timeout=0.2)
    return await calling


async def test_stop_while_the_worker_applies_is_refused_or_stops(
    app: FastAPI, people: People, person: Person, waiting: tuple[Json, str], engine: AsyncEngine, db: AsyncConnection
) -> None:
    made, phone = waiting
    stopped = await apply_during(app, engine, db, made, lambda: person.put(f"{PATH}/{made['id']}/stop"))
    assert stopped.status_code in (401, 409), stopped.text
    assert (await people.register(phone=phone, verified=False)).user_id == person.user_id


async def test_worker_leaves_a_recovery_that_is_stopped_at_the_same_time(
    app: FastAPI, person: Person, waiting: tuple[Json, str], engine: AsyncEngine, db: AsyncConnection
) -> None:
    made, _ = waiting
    await let_time_pass(db, made)

    async def apply() -> str | None:
        async with engine.begin() as applying:
            return await complete_recovery(applying, CIPHER.get(app), made["id"])

    async with engine.begin() as stopping:
        stop = "UPDATE account_recoveries SET state = 'stopped', ended_at = now() WHERE id = :id"
        await stopping.execute(text(stop), {"id": made["id"]})
        applied = asyncio.ensure_future(apply())
        await asyncio.wait({applied}, timeout=0.2)
        assert not applied.done()
    assert await applied is None
    assert get_body(await person.get("/v1/me"))["phone"] == person.phone


async def test_new_phone_registered_meanwhile_refuses_the_recovery(
    app: FastAPI,
    people: People,
    person: Person,
    waiting: tuple[Json, str],
    engine: AsyncEngine,
    db: AsyncConnection,
    worker: Work,
) -> None:
    made, phone = waiting
    other = await people.register(phone=phone, verified=False)
    assert other.user_id != person.user_id
    await let_time_pass(db, made)
    await run_due(engine, worker)
    shown = await read(person, made)
    assert (shown["state"], shown["reason"]) == ("refused", "phone-taken")
    assert get_body(await person.get("/v1/me"))["phone"] == person.phone


async def test_new_phone_registered_while_the_worker_applies_gets_the_recovered_account(
    app: FastAPI, people: People, person: Person, waiting: tuple[Json, str], engine: AsyncEngine, db: AsyncConnection
) -> None:
    made, phone = waiting
    form = {"grant_type": "urn:xuezu:params:oauth:grant-type:phone-code", "client_id": "xuezu-app"}
    form |= await request_code(people.api, phone)
    answer = await apply_during(app, engine, db, made, lambda: people.api.post("/oauth/token", data=form))
    signed_in = {"Authorization": f"Bearer {get_body(answer)['access_token']}"}
    assert get_body(await people.api.get("/v1/me", headers=signed_in))["id"] == person.user_id


@pytest.mark.parametrize("way", ["closed", "phone changed", "suspended"])
async def test_account_that_changes_meanwhile_is_left(
    app: FastAPI,
    people: People,
    person: Person,
    id_number: str,
    engine: AsyncEngine,
    db: AsyncConnection,
    worker: Work,
    way: str,
) -> None:
    new = await people.register(verified=False, party=False, name=person.name)
    made = await request_by_name(new, id_number)
    await consent(new, made)
    if way == "closed":
        await close_account(person)
    elif way == "suspended":
        operator = await create_operator(app, people)
        get_body(await operator.post("/v1/operator/suspensions", json={"phone": person.phone, "reason": "abuse"}))
    else:
        get_body(await person.put("/v1/me/phone", json=await request_phone_change(person, fresh_phone())), 204)
    await let_time_pass(db, made)
    await run_due(engine, worker)
    shown = await read(new, made)
    expected = {
        "closed": ("stopped", "account-closed"),
        "phone changed": ("stopped", "phone-changed"),
        "suspended": ("refused", "account-unavailable"),
    }
    assert (shown["state"], shown["reason"]) == expected[way]
    assert get_body(await new.get("/v1/me"))["phone"] == new.phone


async def test_account_closed_while_the_worker_applies_is_closed_with_the_old_phone(
    app: FastAPI, person: Person, waiting: tuple[Json, str], engine: AsyncEngine, db: AsyncConnection
) -> None:
    """The call is of a session that the recovery ends."""
    made, _ = waiting
    body = await request_closure(person)
    answer = await apply_during(app, engine, db, made, lambda: person.put("/v1/me/closure", json=body))
    assert get_refusal(answer) == (401, "unauthorized")
    state = await db.scalar(text("SELECT state FROM account_recoveries WHERE id = :id"), {"id": made["id"]})
    assert state == "done"
