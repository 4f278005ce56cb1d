"""E7 The account · 账号安全"""

from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.auth.accounts.registration import SILENCE
from tests.acts import add_member, get_body, list_actions, list_all
from tests.auth.recovery_calls import Work, consent, create_verified, let_time_pass, request_by_name, run_due
from tests.auth.sign_in_calls import PROOFS, age_account, ask_for_tokens, begin_sign_in, read_me, send_code
from tests.people import People, Person, fresh_phone, name_person


async def test_person_with_the_phone_of_a_silent_account_proves_its_name(
    people: People, operator: Person, db: AsyncConnection
) -> None:
    """A person who signs in with the phone of a verified account that was not used for 180 days proves its real name
    first, or begins an account of their own. The name is proved by Alipay or by ID card, and the person gets in without
    a wait. An account that is not verified gets in as before.
    """
    person, id_number = await create_verified(people)
    plain = await people.register(verified=False)
    await age_account(db, person, SILENCE - timedelta(hours=1))
    assert get_body(await send_code(people.api, person.phone))["access_token"], "a day too early"
    for each in (person, plain):
        await age_account(db, each, SILENCE + timedelta(hours=1))
    assert get_body(await send_code(people.api, plain.phone))["access_token"]
    for method in ("alipay", "id-card"):
        await age_account(db, person, SILENCE + timedelta(hours=1))
        token = await begin_sign_in(people.api, person.phone)
        assert await ask_for_tokens(people.api, token) == "authorization_pending"
        proof = name_person(person.name, id_number, method)
        begun = get_body(await people.api.post(PROOFS, json={"proof_token": token, "proof": proof}))
        if method == "alipay":
            await consent(person, begun)
        else:
            items = await list_all(operator, "/v1/operator/verifications", limit=200)
            at = f"/v1/operator/verifications/{[item for item in items if item['proves_recovery']][-1]['id']}"
            get_body(await operator.put(f"{at}/review"))
            get_body(await operator.put(f"{at}/approval"), 204)
        granted = await ask_for_tokens(people.api, token)
        assert (await read_me(people.api, granted))["id"] == person.user_id
        assert await ask_for_tokens(people.api, token) == "invalid_grant", "the token is used once"
        assert get_body(await send_code(people.api, person.phone))["access_token"], "the account is used again"


async def test_own_account_takes_the_phone_and_leaves_the_rest(
    people: People, engine: AsyncEngine, db: AsyncConnection, worker: Work
) -> None:
    """The other account then keeps its points and offices and loses the phone, and its rows in directories become
    inactive. No other account is linked to such a row by the number without an admin's consent. The
    admins of the orgs get a message with the cause. The owner of the other account gets back in by the real name.
    """
    (person, id_number), main = await create_verified(people), await people.register()
    org, own = await main.create_org(), await person.create_org()
    row = await add_member(main, org, phone=person.phone, name=person.name)
    assert row["active"]
    await age_account(db, person, SILENCE + timedelta(hours=1))
    token = await begin_sign_in(people.api, person.phone)
    granted = await ask_for_tokens(people.api, token, new_account="true")
    new = await read_me(people.api, granted)
    assert new["id"] != person.user_id
    assert (new["phone"], new["verified_name"]) == (person.phone, None)
    assert (await person.get("/v1/me")).status_code == 401
    path = f"/v1/orgs/{org['id']}/members/{row['id']}"
    shown = get_body(await main.get(path))
    assert (shown["active"], shown["inactive_reason"]) == (False, "phone-recycled")
    assert "member-phone-recycled" in {message["kind"] for message in await list_all(main, "/v1/messages")}
    assert "member.phone_recycled" in await list_actions(main, org)
    get_body(await main.patch(path, json={"name": person.name + "乙"}, headers={"If-Match": "*"}))
    assert not get_body(await main.get(path))["active"], "the name alone does not link the new owner of the number"
    edited = get_body(await main.patch(path, json={"phone": fresh_phone()}, headers={"If-Match": "*"}))
    assert edited["inactive_reason"] == "never-registered"
    back = get_body(await main.patch(path, json={"phone": person.phone}, headers={"If-Match": "*"}))
    assert back["active"], "an admin has entered the number again, for its new owner"
    again = await people.register(verified=False, party=False, name=person.name)
    made = await request_by_name(again, id_number)
    await consent(again, made)
    await let_time_pass(db, made)
    await run_due(engine, worker)
    returned = await people.register(phone=again.phone, verified=False)
    assert returned.user_id == person.user_id
    assert [item["id"] for item in get_body(await returned.get("/v1/me/orgs"))["items"]] == [own["id"]]


async def test_person_without_the_phone_learns_nothing(people: People, db: AsyncConnection) -> None:
    """A person without the phone learns nothing of the account, and a person with the phone only that it needs a
    proof."""
    person, _ = await create_verified(people)
    await age_account(db, person, SILENCE + timedelta(hours=1))
    wrong = await send_code(people.api, person.phone, right=False)
    assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_grant")
    refused = await send_code(people.api, person.phone)
    body: dict[str, Any] = refused.json()
    assert set(body) == {"error", "error_description", "proof_token"}
    assert person.name not in refused.text
    proof = name_person(person.name)
    begun = await people.api.post(PROOFS, json={"proof_token": body["proof_token"], "proof": proof})
    assert set(get_body(begun)) == {"redirect_url"}
    await consent(person, get_body(begun))
    assert await ask_for_tokens(people.api, body["proof_token"]) == "access_denied"
