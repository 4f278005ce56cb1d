"""Sign-ins with the phone of an account that was not used for a long time."""

from datetime import timedelta

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import Json, get_body
from tests.people import Person
from tests.phone_codes import change_code, request_code

PROOFS = "/v1/sign-in-proofs"
_CLIENT = {"client_id": "xuezu-app"}


async def age_account(db: AsyncConnection, person: Person, age: timedelta) -> None:
    """Move the account and its last use to this long ago."""
    times = "created_at = now() - CAST(:age AS interval), phone_since = now() - CAST(:age AS interval)"
    verified = "verified_at = CASE WHEN verified_at IS NOT NULL THEN now() - CAST(:age AS interval) END"
    which = {"id": person.user_id, "age": age}
    await db.execute(text(f"UPDATE users SET {times}, {verified} WHERE id = :id"), which)
    await db.execute(
        text("UPDATE sessions SET refreshed_at = now() - CAST(:age AS interval) WHERE user_id = :id"), which
    )


async def send_code(api: httpx.AsyncClient, phone: str, *, right: bool = True) -> httpx.Response:
    """Sign in with a code to this phone."""
    given = await request_code(api, phone)
    if not right:
        given["code"] = change_code(given["code"])
    return await api.post(
        "/oauth/token", data=_CLIENT | {"grant_type": "urn:xuezu:params:oauth:grant-type:phone-code"} | given
    )


async def begin_sign_in(api: httpx.AsyncClient, phone: str) -> str:
    """Sign in with a code to the phone of a silent account. Return the proof token."""
    answer = await send_code(api, phone)
    body = get_body(answer, 400)
    assert body["error"] == "real_name_needed"
    return str(body["proof_token"])


async def ask_for_tokens(api: httpx.AsyncClient, proof_token: str, **fields: str) -> str:
    """Return the access token for a proof token, or the error."""
    form = _CLIENT | {"grant_type": "urn:xuezu:params:oauth:grant-type:real-name", "proof_token": proof_token} | fields
    body = (await api.post("/oauth/token", data=form)).json()
    return str(body.get("access_token") or body["error"])


async def read_me(api: httpx.AsyncClient, access_token: str) -> Json:
    me: Json = get_body(await api.get("/v1/me", headers={"Authorization": f"Bearer {access_token}"}))
    return me
