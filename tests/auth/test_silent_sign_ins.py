"""Sign-ins with the phone of a verified account that was not used for a long time: races, offices, expiry."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.auth.accounts.registration import SILENCE
from app.personal_data.sections import SECTIONS
from app.worker.retention import CLEAN_UPS, run_clean_up
from tests.acts import add_admin, get_body, get_refusal, list_all
from tests.auth.operator_accounts import create_operator
from tests.auth.recovery_calls import consent, create_verified
from tests.auth.sign_in_calls import PROOFS, age_account, ask_for_tokens, begin_sign_in, read_me, send_code
from tests.meanwhile import answer_after_change
from tests.people import People, Person, fresh_id_card_number, fresh_phone, name_person

AGE = SILENCE + timedelta(hours=1)


@pytest.fixture
async def verified(people: People, db: AsyncConnection) -> tuple[Person, str]:
    """A verified person whose account was not used for a long time, with their ID number."""
    person, id_number = await create_verified(people)
    await age_account(db, person, AGE)
    return person, id_number


async def prove(people: People, token: str, person: Person, id_number: str) -> None:
    body = {"proof_token": token, "proof": name_person(person.name, id_number)}
    await consent(person, get_body(await people.api.post(PROOFS, json=body)))


async def test_refused_person_begins_an_own_account_and_the_former_phone_takes_nothing_back(
    app: FastAPI, people: People, verified: tuple[Person, str], db: AsyncConnection
) -> None:
    person, _ = verified
    card = name_person("王冒名", method="id-card")
    stranger = await begin_sign_in(people.api, person.phone)
    get_body(await people.api.post(PROOFS, json={"proof_token": stranger, "proof": card}))
    section = next(section for section in SECTIONS if section.name == "verifications")
    copied = (await db.execute(section.statement, {"user_id": person.user_id})).mappings().all()
    assert "王冒名" not in {row["name"] for row in copied}, "what a stranger typed is not in the owner's data"
    token = await begin_sign_in(people.api, person.phone)
    await prove(people, token, person, fresh_id_card_number())
    assert await ask_for_tokens(people.api, token) == "access_denied"
    new = await read_me(people.api, await ask_for_tokens(people.api, token, new_account="true"))
    assert new["id"] != person.user_id
    assert await ask_for_tokens(people.api, token, new_account="true") == "invalid_grant"
    operator = await create_operator(app, people)
    refused = await operator.post("/v1/operator/phone-return-codes", json={"phone": person.phone})
    assert get_refusal(refused) == (404, "not-found"), "the number was given up, not replaced by a thief"


async def test_offices_and_their_rows_stay_with_the_account(
    people: People, verified: tuple[Person, str], db: AsyncConnection
) -> None:
    (person, _), main = verified, await people.register()
    person = await people.register(phone=person.phone, verified=False, name=person.name)
    org = await main.create_org()
    await add_admin(main, org, person)
    await age_account(db, person, AGE)
    token = await begin_sign_in(people.api, person.phone)
    new = await read_me(people.api, await ask_for_tokens(people.api, token, new_account="true"))
    rows = await list_all(main, f"/v1/orgs/{org['id']}/members")
    assert [row["active"] for row in rows if row["name"] == person.name] == [True]
    admins = get_body(await main.get(f"/v1/orgs/{org['id']}/admins"))["items"]
    assert person.user_id in str(admins)
    assert new["id"] not in str(admins)
    assert "admin-phone-recycled" in {message["kind"] for message in await list_all(main, "/v1/messages")}


async def test_proof_token_is_redeemed_once_whatever_is_chosen(people: People, verified: tuple[Person, str]) -> None:
    person, id_number = verified
    token = await begin_sign_in(people.api, person.phone)
    await prove(people, token, person, id_number)
    fields: list[dict[str, Any]] = [{}, {"new_account": "true"}, {}, {"new_account": "true"}]
    answers = await asyncio.gather(*(ask_for_tokens(people.api, token, **each) for each in fields))
    granted = [answer for answer in answers if answer != "invalid_grant"]
    assert len(granted) == 1, answers


async def test_new_sign_in_ends_the_token_before_it(people: People, verified: tuple[Person, str]) -> None:
    person, id_number = verified
    first, second = [await begin_sign_in(people.api, person.phone) for _ in range(2)]
    assert await ask_for_tokens(people.api, first, new_account="true") == "invalid_grant"
    body = {"proof_token": first, "proof": name_person("王小明")}
    assert get_refusal(await people.api.post(PROOFS, json=body)) == (404, "not-found")
    await prove(people, second, person, id_number)
    assert (await read_me(people.api, await ask_for_tokens(people.api, second)))["id"] == person.user_id


@pytest.mark.parametrize("change", ["is used again", "has another phone", "is suspended"])
async def test_account_that_changes_meanwhile_keeps_its_phone(
    people: People, verified: tuple[Person, str], engine: AsyncEngine, db: AsyncConnection, change: str
) -> None:
    """The owner is signed in on a device that was not used for a long time."""
    person, _ = verified
    token = await begin_sign_in(people.api, person.phone)
    changes = {
        "is used again": "UPDATE sessions SET refreshed_at = now() WHERE user_id = :id",
        "has another phone": "UPDATE users SET phone_index = decode(md5(:id || 'other'), 'hex') WHERE id::text = :id",
        "is suspended": "UPDATE users SET status = 'disabled' WHERE id::text = :id",
    }
    statement = changes[change].replace("user_id = :id", "user_id::text = :id")
    form = {
        "grant_type": "urn:xuezu:params:oauth:grant-type:real-name",
        "client_id": "xuezu-app",
        "proof_token": token,
        "new_account": "true",
    }
    locked = "SELECT FROM users WHERE id::text = :id FOR UPDATE"
    answer = await answer_after_change(
        engine,
        lambda: people.api.post("/oauth/token", data=form),
        locked,
        statement,
        parameters={"id": person.user_id},
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    phone = text("SELECT phone_index IS NOT NULL FROM users WHERE id = :id")
    assert await db.scalar(phone, {"id": person.user_id})
    ended = text("SELECT count(*) FROM audit_entries WHERE action = 'user.phone_given_up' AND subject_id = :id")
    assert await db.scalar(ended, {"id": person.user_id}) == 0


async def test_late_token_expires_and_its_phone_is_erased(
    people: People, verified: tuple[Person, str], engine: AsyncEngine, db: AsyncConnection
) -> None:
    person, _ = verified
    refused = await begin_sign_in(people.api, person.phone)
    await prove(people, refused, person, fresh_id_card_number())
    token = await begin_sign_in(people.api, person.phone)
    late = "UPDATE account_recoveries SET expires_at = now() - interval '1 second' WHERE account_id = :id"
    await db.execute(text(late), {"id": person.user_id})
    assert await ask_for_tokens(people.api, token) == "expired_token"
    (clean_up,) = [entry for entry in CLEAN_UPS if entry.name == "account-recoveries"]
    await run_clean_up(engine, clean_up)
    left = (
        "SELECT count(*) FROM account_recoveries WHERE account_id = :id AND num_nonnulls(phone_cipher, secret_hash) > 0"
    )
    assert await db.scalar(text(left), {"id": person.user_id}) == 0
    assert await ask_for_tokens(people.api, token) == "invalid_grant"


async def test_unknown_token_is_refused_in_the_form_of_each_call(people: People) -> None:
    unknown = "A" * 43
    assert await ask_for_tokens(people.api, unknown) == "invalid_grant"
    assert await ask_for_tokens(people.api, "", new_account="true") == "invalid_request"
    body = {"proof_token": unknown, "proof": name_person("王小明")}
    assert get_refusal(await people.api.post(PROOFS, json=body)) == (404, "not-found")
    assert get_body(await send_code(people.api, fresh_phone()))["access_token"], "a new phone needs no proof"
