"""E7 The account · 账号安全"""

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.acts import get_body, get_refusal, list_all
from tests.auth.recovery_calls import (
    PATH,
    Work,
    consent,
    create_verified,
    find_stop_link,
    let_time_pass,
    read,
    request_by_name,
    request_change,
    run_due,
)
from tests.auth.test_accounts import list_messages, request_change_code, sign_in_console
from tests.people import People, Person, fresh_phone, name_person


async def test_phone_is_changed_after_72_hours_in_which_phone_and_sessions_are_told(
    app: FastAPI, people: People, operator: Person, engine: AsyncEngine, db: AsyncConnection, worker: Work
) -> None:
    """A verified user who has lost the phone of the account proves the real name again, by Alipay or by ID card, and
    the account gets another phone after 72 hours (403 `real-name-required`). All of its sessions end then, and the
    former phone has the seven days to take it back.
    """
    (person, id_number), phone = await create_verified(people), fresh_phone()
    plain = await people.register(verified=False)
    change = {"kind": "phone-change", "phone": phone, "proof": name_person(person.name, id_number)}
    change |= await request_change_code(plain, phone)
    assert get_refusal(await plain.post(PATH, json=change)) == (403, "real-name-required")
    made = await request_change(person, phone, id_number)
    await consent(person, made)
    console = await sign_in_console(app, person)
    shown = await read(person, made)
    assert (shown["state"], shown["requested_by_me"]) == ("waiting", True)
    assert [item["id"] for item in await list_all(console, PATH)] == [made["id"]]
    await run_due(engine, worker)
    messages = await list_all(console, "/v1/messages")
    assert "account-recovery-waiting" in {message["kind"] for message in messages}
    assert await find_stop_link(person)
    await let_time_pass(db, made, hours=71)
    await run_due(engine, worker)
    assert get_body(await person.get("/v1/me"))["phone"] == person.phone, "the 72 hours are not over"
    await let_time_pass(db, made, hours=1)
    await run_due(engine, worker)
    assert [(await each.get("/v1/me")).status_code for each in (person, console)] == [401, 401]
    again = await people.register(phone=phone, verified=False)
    assert again.user_id == person.user_id
    shown = await read(again, made)
    assert (shown["state"], shown["reason"]) == ("done", None)
    sent = "".join(message["text"] for message in await list_messages(person.api, person.phone))
    assert "已更换手机号" in sent
    entries = "SELECT action FROM audit_entries WHERE subject_id IN (:user, :recovery)"
    audited = set(await db.scalars(text(entries), {"user": person.user_id, "recovery": made["id"]}))
    steps = {"requested", "proved", "done"}
    assert {"user.phone_changed", *(f"account_recovery.{step}" for step in steps)} <= audited
    events = set(await db.scalars(text("SELECT type FROM outgoing_events WHERE subject_id = :id"), {"id": made["id"]}))
    assert events == {f"account_recovery.{step}" for step in steps}
    stored = text("SELECT phone_cipher, secret_hash FROM account_recoveries WHERE id = :id")
    assert tuple((await db.execute(stored, {"id": made["id"]})).one()) == (None, None)
    body = {"phone": person.phone}
    body["handle"] = get_body(await operator.post("/v1/operator/phone-return-codes", json=body), 202)["handle"]
    body["code"] = (await list_messages(operator.api, person.phone))[0]["code"]
    assert get_body(await operator.post("/v1/operator/phone-returns", json=body))["user_id"] == person.user_id


async def test_lost_phone_gives_the_account_the_phone_of_the_new_one(
    people: People, engine: AsyncEngine, db: AsyncConnection, worker: Work
) -> None:
    """A user who has lost the sign-in too requests it with a new account, which has no real name (409
    `already-verified`). The former account gets the phone of the new one, which is closed then. Which account has the
    name is known only after the proof.
    """
    person, id_number = await create_verified(people)
    lost = {"kind": "lost-phone", "proof": name_person(person.name, id_number)}
    assert get_refusal(await person.post(PATH, json=lost)) == (409, "already-verified")
    org = await person.create_org()
    await person.delete("/v1/me/sessions")
    new = await people.register(verified=False, party=False, name=person.name)
    made = await request_by_name(new, id_number)
    assert (await read(new, made))["state"] == "proving"
    await consent(new, made)
    assert (await read(new, made))["state"] == "waiting"
    owner = await people.register(phone=person.phone, verified=False)
    shown = await read(owner, made)
    assert (shown["state"], shown["requested_by_me"]) == ("waiting", False)
    await let_time_pass(db, made)
    await run_due(engine, worker)
    assert (await new.get("/v1/me")).status_code == 401
    again = await people.register(phone=new.phone, verified=False)
    assert again.user_id == person.user_id
    assert [row["id"] for row in get_body(await again.get("/v1/me/orgs"))["items"]] == [org["id"]]
    status = text("SELECT status FROM users WHERE id = :id")
    assert await db.scalar(status, {"id": new.user_id}) == "closed"


@pytest.mark.parametrize("way", ["another session", "the requester", "the link"])
async def test_stopped_recovery_changes_nothing(
    app: FastAPI, people: People, engine: AsyncEngine, db: AsyncConnection, worker: Work, way: str
) -> None:
    """In the 72 hours a message reaches the account and an SMS its present phone. The requester, everybody who is
    signed in to the account, and the link in the SMS stop the recovery (409 `recovery-ended` once it has ended in
    another way). One recovery of a requester and of an account waits at a time (409 `recovery-open`).
    """
    person, id_number = await create_verified(people)
    new = await people.register(verified=False, party=False, name=person.name)
    made = await request_by_name(new, id_number)
    await consent(new, made)
    lost = {"kind": "lost-phone", "proof": name_person(person.name, id_number)}
    assert get_refusal(await new.post(PATH, json=lost)) == (409, "recovery-open")
    stranger = await people.register(verified=False)
    assert get_refusal(await stranger.put(f"{PATH}/{made['id']}/stop")) == (404, "not-found")
    await run_due(engine, worker)
    if way == "the link":
        code, sent = await find_stop_link(person), {"Origin": str(person.api.base_url), "Accept-Language": "zh"}
        page = await person.api.get("/stop-recovery", params={"code": code})
        assert (page.status_code, (await read(new, made))["state"]) == (200, "waiting"), "the link alone stops nothing"
        for wrong in ("wrong", ""):
            answer = await person.api.post("/stop-recovery", data={"code": wrong}, headers=sent)
            assert "没有可以停止的申请" in answer.text
        for expected in ("已停止", "没有可以停止的申请"):
            answer = await person.api.post("/stop-recovery", data={"code": code}, headers=sent)
            assert expected in answer.text
    else:
        stopping = new if way == "the requester" else await sign_in_console(app, person)
        for _ in range(2):
            get_body(await stopping.put(f"{PATH}/{made['id']}/stop"), 204)
    await let_time_pass(db, made)
    await run_due(engine, worker)
    assert get_body(await person.get("/v1/me"))["phone"] == person.phone
    shown = await read(new, made)
    assert (shown["state"], shown["reason"]) == ("stopped", "stopped-by-link" if way == "the link" else "stopped")
    for reader in (person, new):
        kinds = [message["kind"] for message in await list_all(reader, "/v1/messages")]
        assert "account-recovery-stopped" in kinds
    again = await request_by_name(new, id_number)
    refused = text("UPDATE account_recoveries SET state = 'refused', ended_at = now() WHERE id = :id")
    await db.execute(refused, {"id": again["id"]})
    assert get_refusal(await new.put(f"{PATH}/{again['id']}/stop")) == (409, "recovery-ended")
