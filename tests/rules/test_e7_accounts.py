"""E7 The account · 账号安全"""

import asyncio
from datetime import timedelta

from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import get_body, get_refusal, list_all
from tests.auth.authenticator import forget_key_proof, prove_key, register_key
from tests.auth.operator_accounts import create_operator
from tests.auth.test_accounts import close_account, list_messages, request_phone_change, sign_in_console
from tests.auth.test_floods import ABROAD, HOME, redeem, register, send_code, use_phone_buckets
from tests.auth.test_security_keys import age_session
from tests.people import People, Person, fresh_phone
from tests.phone_codes import request_code

RETURNS = "/v1/operator/phone-returns"


async def request_return(operator: Person, phone: str) -> dict[str, str]:
    """Send a code to the former phone. Return the body of the return."""
    sent = get_body(await operator.post("/v1/operator/phone-return-codes", json={"phone": phone}), 202)
    code = (await list_messages(operator.api, phone))[0]["code"]
    return {"phone": phone, "code": code, "handle": sent["handle"]}


async def test_phone_change_without_a_recent_sign_in_to_the_app_is_refused(
    app: FastAPI, people: People, db: AsyncConnection
) -> None:
    """A change of the phone needs a sign-in to the app in the last ten minutes (403 `app-sign-in-needed`; 401
    `fresh-sign-in-needed`)."""
    person = await people.register(verified=False)
    body = await request_phone_change(person, fresh_phone())
    console = await sign_in_console(app, person)
    assert get_refusal(await console.put("/v1/me/phone", json=body)) == (403, "app-sign-in-needed")
    await age_session(db, person, timedelta(minutes=11))
    assert get_refusal(await person.put("/v1/me/phone", json=body)) == (401, "fresh-sign-in-needed")


async def test_phone_change_without_the_proof_of_a_key_is_refused(people: People, db: AsyncConnection) -> None:
    """A user who has a security key proves it in the last ten minutes instead (401 `security-key-needed`)."""
    person = await people.register(verified=False)
    await register_key(person)
    await forget_key_proof(db, person)
    body = await request_phone_change(person, fresh_phone())
    assert get_refusal(await person.put("/v1/me/phone", json=body)) == (401, "security-key-needed")


async def test_phone_change_needs_a_code_to_both_phones(people: People) -> None:
    """The change needs a code to the present phone and a code to the new phone (403 `old-phone-code-refused`; 403
    `code-refused`)."""
    person = await people.register(verified=False)
    body = await request_phone_change(person, fresh_phone())
    for field, refusal in (("old_phone_code", (403, "old-phone-code-refused")), ("code", (403, "code-refused"))):
        wrong = {field: f"{(int(body[field]) + 1) % 1_000_000:06d}"}
        assert get_refusal(await person.put("/v1/me/phone", json=body | wrong)) == refusal
    assert (await person.put("/v1/me/phone", json=body)).status_code == 204


async def test_stranger_leaves_the_code_of_the_owner_valid(people: People) -> None:
    """A code to a phone is redeemed with the handle of its request, so the requests and guesses of a stranger leave the
    owner's code valid."""
    owner = await request_code(people.api, phone := fresh_phone())
    sent = get_body(await people.api.post("/v1/phone-codes", json={"phone": phone}), 202)
    for handle in (sent["handle"], "guessed"):
        assert (await redeem(people.api, owner | {"handle": handle}, HOME)).status_code == 400
    assert get_body(await redeem(people.api, owner, HOME))["access_token"]


async def test_strangers_requests_do_not_limit_the_network_of_the_account(people: People, db: AsyncConnection) -> None:
    """Requests of strangers for the same phone do not limit a network from which its account has been used (other
    networks: 429 `too-many-requests`)."""
    phone = await register(people.api, HOME)
    await use_phone_buckets(people.api, db, phone)
    assert get_refusal(await send_code(people.api, phone, ABROAD)) == (429, "too-many-requests")
    assert get_body(await send_code(people.api, phone, HOME), 202)["handle"]


async def test_new_device_key_recovery_and_phone_reach_the_person(app: FastAPI, people: People) -> None:
    """A sign-in on a new device, a new security key, a recovery from lost keys and a change of the phone reach the
    person as a message. The last three also reach the phone by SMS; for a change of the phone it is the old one.
    """
    person, operator = await people.register(verified=False), await create_operator(app, people)
    person = await people.register(phone=person.phone, verified=False)
    assert await list_all(person, "/v1/messages") == [], "the same device as before"
    await sign_in_console(app, person)
    await register_key(person)
    body = {"phone": person.phone, "reason": "lost"}
    get_body(await operator.post("/v1/operator/key-recoveries", json=body))
    person = await people.register(phone=person.phone, verified=False)
    get_body(await person.put("/v1/me/phone", json=await request_phone_change(person, new := fresh_phone())), 204)
    again = await people.register(phone=new, verified=False)
    found = await list_all(again, "/v1/messages")
    kinds = ["phone-changed", "security-keys-recovered", "security-key-added", "new-device"]
    assert [message["kind"] for message in found] == kinds
    assert "Xuezu Console" in found[-1]["text"]
    sent = "".join(message["text"] for message in await list_messages(person.api, person.phone))
    assert all(part in sent for part in ("登记了一把新的安全密钥", "已移除您的账号的全部安全密钥", "已更换手机号"))
    assert "已更换手机号" not in "".join(message["text"] for message in await list_messages(person.api, new))


async def test_removed_security_key_ends_what_it_has_proved(people: People) -> None:
    """Removing a security key ends what it has proved, in all sessions (401 `security-key-needed`)."""
    person = await people.register(verified=False)
    lost = await prove_key(person)
    (first,) = await list_all(person, "/v1/me/security-keys")
    await prove_key(person, await register_key(person))
    elsewhere = await people.register(phone=person.phone, verified=False)
    await prove_key(elsewhere, lost)
    body = await request_phone_change(elsewhere, fresh_phone())
    get_body(await person.delete(f"/v1/me/security-keys/{first['id']}"), 204)
    assert get_refusal(await elsewhere.put("/v1/me/phone", json=body)) == (401, "security-key-needed")


async def test_former_phone_takes_the_account_back_within_seven_days(
    app: FastAPI, people: People, db: AsyncConnection
) -> None:
    """For seven days after a change of the phone, the platform operator gives the account its former phone back, with a
    code to that phone (403 `code-refused`; later 404). All sessions end and all security keys are removed. A phone that
    came after the present phone cannot take the account back (404).
    """
    person, operator, new = await people.register(), await create_operator(app, people), fresh_phone()
    org = await person.create_org()
    get_body(await person.put("/v1/me/phone", json=await request_phone_change(person, new)), 204)
    thief = await people.register(phone=new, verified=False)
    assert thief.user_id == person.user_id
    await register_key(thief)
    body = await request_return(operator, person.phone)
    wrong = {"code": f"{(int(body['code']) + 1) % 1_000_000:06d}"}
    assert get_refusal(await operator.post(RETURNS, json=body | wrong)) == (403, "code-refused")
    late = "UPDATE user_phones SET until = until - interval '7 days', since = since - interval '7 days'"
    await db.execute(text(f"{late} WHERE user_id = :id"), {"id": person.user_id})
    assert get_refusal(await operator.post(RETURNS, json=body)) == (404, "not-found")
    await db.execute(text(f"{late.replace('- ', '+ ')} WHERE user_id = :id"), {"id": person.user_id})
    answers = await asyncio.gather(*(operator.post(RETURNS, json=body) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 403], "the code is used once"
    (returned,) = [answer.json() for answer in answers if answer.status_code == 200]
    assert returned == {"user_id": person.user_id, "keys_removed": 1, "sessions_ended": 1}
    assert (await thief.get("/v1/me")).status_code == 401
    again = await people.register(phone=person.phone, verified=False)
    assert [row["id"] for row in get_body(await again.get("/v1/me/orgs"))["items"]] == [org["id"]]
    refused = await operator.post("/v1/operator/phone-return-codes", json={"phone": new})
    assert get_refusal(refused) == (404, "not-found")


async def test_account_of_the_former_phone_is_closed_before_its_return(app: FastAPI, people: People) -> None:
    """If the former phone has an account of its own by then, that account is closed first (409 `phone-taken`)."""
    person, operator = await people.register(verified=False), await create_operator(app, people)
    get_body(await person.put("/v1/me/phone", json=await request_phone_change(person, fresh_phone())), 204)
    own = await people.register(phone=person.phone, verified=False)
    body = await request_return(operator, person.phone)
    assert get_refusal(await operator.post(RETURNS, json=body)) == (409, "phone-taken")
    await close_account(own)
    assert get_body(await operator.post(RETURNS, json=await request_return(operator, person.phone)))
