"""Platform operators: enrolment by code and key, reviews, recoveries, suspensions and clients, all audited."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typer.testing import CliRunner

from app.audit_log.entries import Actor
from app.auth.clients import create_client, list_clients
from app.auth.operators.operators import remove_operator
from app.commands.auth import clients
from app.core.cipher import CIPHER
from app.core.settings import Settings
from app.database.db import ENGINE
from tests.auth.authenticator import SoftKey, prove_key, register_key, send_registration
from tests.auth.operator_accounts import add_operator_account, create_operator
from tests.people import People, Person, fresh_id_card_number, fresh_name, fresh_phone, name_person


def is_refused(answer: httpx.Response, status: int, slug: str) -> bool:
    found: dict[str, Any] = answer.json()
    return (answer.status_code, found["type"]) == (status, f"/problems/{slug}")


@pytest.fixture(scope="module")
async def operator(app: FastAPI, people: People) -> Person:
    return await create_operator(app, people)


@pytest.fixture
async def applicant(people: People) -> Person:
    return await people.register(verified=False, party=False)


async def submit_id_card(person: Person, id_number: str | None = None) -> str:
    body = name_person(person.name, id_number, "id-card")
    made = await person.post("/v1/me/verifications", json=body)
    assert made.status_code == 201, made.text
    assert made.json()["state"] == "submitted"
    return str(made.json()["id"])


async def list_audited_actions(db: AsyncConnection, person: Person) -> list[str]:
    rows = await db.execute(
        text("SELECT action FROM audit_entries WHERE user_id = :id ORDER BY id"), {"id": person.user_id}
    )
    return [str(action) for action in rows.scalars()]


# Operators


async def test_operator_call_by_another_user_is_404(applicant: Person) -> None:
    assert is_refused(await applicant.get("/v1/operator/verifications"), 404, "not-found")


async def test_operator_needs_a_key_in_each_session(people: People, operator: Person) -> None:
    elsewhere = await people.register(phone=operator.phone, verified=False, party=False)
    assert is_refused(await elsewhere.get("/v1/operator/verifications"), 401, "security-key-needed")
    assert (await operator.get("/v1/operator/verifications")).status_code == 200


async def test_first_operator_key_needs_the_enrolment_code_which_can_be_used_once(app: FastAPI, people: People) -> None:
    phone = fresh_phone()
    code = await add_operator_account(app, phone)
    person = await people.register(phone=phone, verified=False, party=False)
    for wrong in ({}, {"enrolment_code": "wrong-code"}):
        assert is_refused(await send_registration(person, SoftKey(), **wrong), 403, "enrolment-needed")
    key = await register_key(person, enrolment_code=code)
    await prove_key(person, key)
    key_id = (await person.get("/v1/me/security-keys")).json()["items"][0]["id"]
    assert (await person.delete(f"/v1/me/security-keys/{key_id}")).status_code == 204
    assert is_refused(await send_registration(person, SoftKey(), enrolment_code=code), 403, "enrolment-needed")


async def test_enrolment_code_expires_after_a_day(app: FastAPI, people: People, db: AsyncConnection) -> None:
    phone = fresh_phone()
    code = await add_operator_account(app, phone)
    person = await people.register(phone=phone, verified=False, party=False)
    life = "SELECT enrolment_expires_at - now() BETWEEN '23:59' AND '24:00' FROM operators WHERE user_id = :id"
    assert await db.scalar(text(life), {"id": person.user_id})
    expired = text("UPDATE operators SET enrolment_expires_at = now() WHERE user_id = :id")
    await db.execute(expired, {"id": person.user_id})
    assert is_refused(await send_registration(person, SoftKey(), enrolment_code=code), 403, "enrolment-needed")
    again = await add_operator_account(app, phone)  # it ends the sessions of the operator
    person = await people.register(phone=phone, verified=False, party=False)
    await register_key(person, enrolment_code=again)


async def test_next_call_of_a_removed_operator_is_refused(app: FastAPI, people: People) -> None:
    person = await create_operator(app, people)
    assert (await person.get("/v1/operator/clients")).status_code == 200
    async with ENGINE.get(app).begin() as db:
        await remove_operator(db, CIPHER.get(app), Actor(), person.phone)
    assert (await person.get("/v1/operator/clients")).status_code == 404


# Reviews


async def test_approved_id_card_verifies_the_user(operator: Person, applicant: Person, db: AsyncConnection) -> None:
    number = fresh_id_card_number()
    verification_id = await submit_id_card(applicant, number)
    waiting = (await operator.get("/v1/operator/verifications", params={"limit": 200})).json()["items"]
    assert verification_id in {item["id"] for item in waiting}
    review = await operator.put(f"/v1/operator/verifications/{verification_id}/review")
    assert (review.json()["name"], review.json()["id_number"]) == (applicant.name, number)
    assert (await applicant.get(f"/v1/me/verifications/{verification_id}")).json()["state"] == "under-review"
    assert (await operator.put(f"/v1/operator/verifications/{verification_id}/approval")).status_code == 204
    me = (await applicant.get("/v1/me")).json()
    assert (me["verified_name"], me["verification_method"]) == (applicant.name, "id-card")
    assert (await applicant.get(f"/v1/me/verifications/{verification_id}")).json()["state"] == "approved"
    stored = await db.scalar(text("SELECT id_number_cipher FROM verifications WHERE id = :id"), {"id": verification_id})
    assert stored is None
    assert {"verification.review_begun", "verification.approved"} <= set(await list_audited_actions(db, operator))


async def test_rejected_card_can_be_submitted_again(operator: Person, applicant: Person) -> None:
    verification_id = await submit_id_card(applicant)
    again = name_person(applicant.name, method="id-card")
    assert is_refused(await applicant.post("/v1/me/verifications", json=again), 409, "verification-open")
    await operator.put(f"/v1/operator/verifications/{verification_id}/review")
    reason = {"reason": "unreadable"}
    assert (
        await operator.put(f"/v1/operator/verifications/{verification_id}/rejection", json=reason)
    ).status_code == 204
    shown = (await applicant.get(f"/v1/me/verifications/{verification_id}")).json()
    assert (shown["state"], shown["reason"]) == ("rejected", "unreadable")
    assert (await applicant.post("/v1/me/verifications", json=again)).status_code == 201


async def test_decision_by_another_operator_is_refused(
    app: FastAPI, people: People, operator: Person, applicant: Person
) -> None:
    second = await create_operator(app, people)
    verification_id = await submit_id_card(applicant)
    approval = f"/v1/operator/verifications/{verification_id}/approval"
    assert is_refused(await operator.put(approval), 409, "not-your-review")
    await operator.put(f"/v1/operator/verifications/{verification_id}/review")
    assert is_refused(await second.put(approval), 409, "not-your-review")
    await second.put(f"/v1/operator/verifications/{verification_id}/review")
    assert is_refused(await operator.put(approval), 409, "not-your-review")
    assert (await second.put(approval)).status_code == 204
    assert is_refused(await operator.put(approval), 409, "not-your-review")
    assert (await second.put(approval)).status_code == 204  # a repeated decision


async def test_review_of_own_verification_is_refused(operator: Person) -> None:
    verification_id = await submit_id_card(operator)
    assert is_refused(
        await operator.put(f"/v1/operator/verifications/{verification_id}/review"), 403, "own-verification"
    )


async def test_card_of_another_account_is_refused(people: People, operator: Person, applicant: Person) -> None:
    number = fresh_id_card_number()
    other = await people.register(verified=False, party=False)
    own, theirs = await submit_id_card(applicant, number), await submit_id_card(other, number.lower())
    for verification_id in (own, theirs):
        await operator.put(f"/v1/operator/verifications/{verification_id}/review")
    assert (await operator.put(f"/v1/operator/verifications/{own}/approval")).status_code == 204
    assert is_refused(await operator.put(f"/v1/operator/verifications/{theirs}/approval"), 409, "id-number-taken")
    third = await people.register(verified=False, party=False)
    body = name_person(third.name, number, "id-card")
    assert is_refused(await third.post("/v1/me/verifications", json=body), 409, "id-number-taken")


# Recoveries and suspensions


async def test_key_recovery_removes_keys_and_ends_sessions(
    people: People, operator: Person, db: AsyncConnection
) -> None:
    person = await people.register(verified=False, party=False)
    await register_key(person)
    body = {"phone": person.phone, "reason": "lost"}
    made = await operator.post("/v1/operator/key-recoveries", json=body)
    assert (made.status_code, made.json()) == (
        200,
        {"user_id": person.user_id, "keys_removed": 1, "sessions_ended": 1},
    )
    assert (await person.get("/v1/me")).status_code == 401
    new_session = await people.register(phone=person.phone, verified=False, party=False)
    await prove_key(new_session, await register_key(new_session))
    assert "security_keys.recovered" in await list_audited_actions(db, operator)


async def test_recovery_and_suspension_of_an_operator_are_refused(
    app: FastAPI, people: People, operator: Person
) -> None:
    phone = fresh_phone()
    await add_operator_account(app, phone)
    for path, reason in (("key-recoveries", "lost"), ("suspensions", "abuse")):
        answer = await operator.post(f"/v1/operator/{path}", json={"phone": phone, "reason": reason})
        assert is_refused(answer, 409, "is-operator")


async def test_suspended_user_is_refused_until_restored(people: People, operator: Person) -> None:
    person = await people.register(verified=False, party=False)
    made = await operator.post("/v1/operator/suspensions", json={"phone": person.phone, "reason": "abuse"})
    assert made.json() == {"user_id": person.user_id}
    assert (await person.get("/v1/me")).status_code == 401
    path = f"/v1/operator/suspensions/{person.user_id}"
    assert (await operator.delete(path)).status_code == 204
    assert (await operator.delete(path)).status_code == 404
    assert (await person.get("/v1/me")).status_code == 401, "its session had ended"
    again = await people.register(phone=person.phone, verified=False, party=False)
    assert again.user_id == person.user_id


async def test_recovery_and_suspension_of_an_unknown_phone_are_404(operator: Person) -> None:
    for path, reason in (("key-recoveries", "lost"), ("suspensions", "abuse")):
        answer = await operator.post(f"/v1/operator/{path}", json={"phone": fresh_phone(), "reason": reason})
        assert is_refused(answer, 404, "not-found")


# Clients


async def test_client_is_created_rotated_and_revoked(operator: Person, engine: AsyncEngine) -> None:
    body = {"name": fresh_name(), "kind": "service", "scopes": ["point-events:write"]}
    made = (await operator.post("/v1/operator/clients", json=body)).json()
    path = f"/v1/operator/clients/{made['client_id']}"

    async def is_accepted(secret: str) -> bool:
        form = {"grant_type": "client_credentials"}
        answer = await operator.api.post("/oauth/token", data=form, auth=(made["client_id"], secret))
        return answer.status_code == 200

    assert await is_accepted(made["client_secret"])
    rotated = (await operator.post(f"{path}/secrets", json={"overlap_hours": 0})).json()["client_secret"]
    assert not await is_accepted(made["client_secret"])
    assert await is_accepted(rotated)
    listed = (await operator.get("/v1/operator/clients")).json()["items"]
    shown = next(item for item in listed if item["id"] == made["client_id"])
    assert (shown["secrets"], shown["revoked_at"]) == (1, None)
    assert made["client_secret"] not in str(listed)
    assert (await operator.delete(path)).status_code == 204
    assert not await is_accepted(rotated)
    assert (await operator.delete(path)).status_code == 404
    assert (await operator.post(f"{path}/secrets", json={})).status_code == 404


async def test_device_client_signs_in_by_scan(people: People, operator: Person) -> None:
    from tests.auth.consoles import Console, approve, scan

    body = {"name": "钉钉桌面版", "kind": "device", "scopes": ["account:read"]}
    made = (await operator.post("/v1/operator/clients", json=body)).json()
    assert made["client_secret"] is None
    person = await people.register(verified=False, party=False)
    desktop = await Console.request(people.api, made["client_id"])
    scanned = await scan(person, desktop)
    assert scanned["client"] == "钉钉桌面版"
    await approve(person, scanned["id"], desktop.proof)
    tokens = (await desktop.poll()).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await people.api.get("/v1/me", headers=headers)).status_code == 200
    await operator.delete(f"/v1/operator/clients/{made['client_id']}")
    assert (await people.api.get("/v1/me", headers=headers)).status_code == 401


async def test_revoke_command_asks_for_confirmation(engine: AsyncEngine, settings: Settings) -> None:
    async with engine.begin() as db:
        made = await create_client(db, Actor(), name=fresh_name(), kind="device", scopes=["account:read"])
    assert settings.database_url is not None
    given = {"XUEZU_DATABASE_URL": settings.database_url.get_secret_value(), "XUEZU_DATA_DIR": str(settings.data_dir)}

    async def run_command(typed: str, *arguments: str) -> tuple[int, str]:
        runner = CliRunner(env=given)
        result = await asyncio.to_thread(runner.invoke, clients, [*arguments], typed)
        return result.exit_code, result.output

    async def is_live() -> bool:
        async with engine.connect() as db:
            return any(row.id == made.client_id and row.revoked_at is None for row in await list_clients(db))

    code, output = await run_command("n\n", "revoke", made.client_id)
    assert (code, "This signs out 0 sessions." in output) == (1, True)
    assert await is_live()
    assert (await run_command("", "revoke", made.client_id, "--yes"))[0] == 0
    assert not await is_live()
    assert (await run_command("", "restore", made.client_id))[0] == 0
    assert await is_live()
    assert (await run_command("", "revoke", "xuezu-app", "--yes"))[0] == 1
