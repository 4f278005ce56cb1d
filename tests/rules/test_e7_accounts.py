"""E7 The account · 账号安全"""

from datetime import timedelta

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import get_refusal
from tests.auth.authenticator import forget_key_proof, register_key
from tests.auth.test_accounts import request_phone_change, sign_in_console
from tests.auth.test_security_keys import age_session
from tests.people import People, fresh_phone


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
    for field, slug in (("old_phone_code", "old-phone-code-refused"), ("code", "code-refused")):
        wrong = {field: f"{(int(body[field]) + 1) % 1_000_000:06d}"}
        assert get_refusal(await person.put("/v1/me/phone", json=body | wrong)) == (403, slug)
    assert (await person.put("/v1/me/phone", json=body)).status_code == 204
