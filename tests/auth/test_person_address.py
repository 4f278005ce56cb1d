"""The back end of an app names the address of the person, which limits count. No other caller can choose one."""

from dataclasses import dataclass

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit_log.entries import Actor
from app.auth.clients import create_client, rotate_secret
from tests.acts import get_body, get_refusal
from tests.people import People, Person, fresh_phone

OWN = "127.0.0.1"


@dataclass
class BackEnd:
    """The back end of an app with its secret."""

    api: httpx.AsyncClient
    client_id: str
    secret: str

    async def post(self, path: str, address: str | None, **options: object) -> httpx.Response:
        headers = {} if address is None else {"Xuezu-Person-Address": address}
        return await self.api.post(path, auth=(self.client_id, self.secret), headers=headers, **options)  # type: ignore[arg-type]  # options of httpx

    async def request_code(self, phone: str, address: str | None) -> httpx.Response:
        return await self.post("/v1/phone-codes", address, json={"phone": phone})

    async def sign_in(self, phone: str, address: str | None) -> httpx.Response:
        sent = get_body(await self.request_code(phone, address), 202)
        received = get_body(await self.api.get("/v1/simulator/sms", params={"phone": phone}))["items"]
        grant = "urn:xuezu:params:oauth:grant-type:phone-code"
        form = {"grant_type": grant, "phone": phone, "code": received[0]["code"], "handle": sent["handle"]}
        return await self.post("/oauth/token", address, data=form)


@pytest.fixture
async def back_end(api: httpx.AsyncClient, engine: AsyncEngine) -> BackEnd:
    async with engine.begin() as db:
        made = await create_client(db, Actor(), name="学习平台", kind="app")
    assert made.secret is not None
    return BackEnd(api, made.client_id, made.secret)


async def fill_bucket(db: AsyncConnection, *addresses: str) -> None:
    for address in addresses:
        values = {"key": f"code-address:{address}"}
        await db.execute(text("INSERT INTO rate_limits VALUES (:key, now() + interval '1200 seconds')"), values)


async def test_person_of_a_back_end_is_limited_and_shown_by_their_own_address(
    back_end: BackEnd, db: AsyncConnection
) -> None:
    await fill_bucket(db, "203.0.113.61")
    assert (await back_end.request_code(fresh_phone(), "203.0.113.61")).status_code == 429
    tokens = get_body(await back_end.sign_in(phone := fresh_phone(), "203.0.113.62"))
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert (await back_end.post("/oauth/token", "203.0.113.62", data=form)).status_code == 200
    renewed = get_body(await back_end.post("/oauth/token", "203.0.113.62", data=form))  # the answer was lost
    person = Person(phone, "", "", back_end.api, renewed["access_token"])
    (session,) = get_body(await person.get("/v1/me/sessions"))["items"]
    assert (session["address"], session["client"]) == ("203.0.113.62", "学习平台")
    named = {"Xuezu-Person-Address": "2001:DB8::9"}
    assert (await person.patch("/v1/me", json={"party_member": True}, headers=named)).status_code == 200
    entry = "SELECT host(address) FROM audit_entries WHERE user_id = :id AND action = 'user.updated'"
    user_id = get_body(await person.get("/v1/me"))["id"]
    assert await db.scalar(text(entry), {"id": user_id}) == "2001:db8::9"
    copied = await back_end.post("/oauth/token", "203.0.113.63", data=form)
    assert (copied.status_code, copied.json()["error"]) == (400, "invalid_grant")


async def test_own_address_of_a_back_end_is_not_limited_with_that_of_its_people(
    back_end: BackEnd, db: AsyncConnection
) -> None:
    """Its own limit counts where it names no person. Behind a trusted proxy that is the forwarded address."""
    await fill_bucket(db, "203.0.113.64")
    back_end.api.headers["X-Forwarded-For"] = "203.0.113.64"
    try:
        assert (await back_end.request_code(fresh_phone(), None)).status_code == 429
        assert (await back_end.request_code(fresh_phone(), "203.0.113.65")).status_code == 202
    finally:
        del back_end.api.headers["X-Forwarded-For"]


async def test_address_that_another_caller_names_is_ignored(
    api: httpx.AsyncClient, engine: AsyncEngine, people: People, back_end: BackEnd, db: AsyncConnection
) -> None:
    person = await people.register(verified=False)
    async with engine.begin() as connection:
        service = await create_client(connection, Actor(), name="points", scopes=["point-events:write"])
    assert service.secret is not None
    await fill_bucket(db, "203.0.113.66")
    for given in ("203.0.113.66", "unreadable"):
        named = {"Xuezu-Person-Address": given}
        body = {"phone": fresh_phone()}
        assert (await api.post("/v1/phone-codes", json=body, headers=named)).status_code == 202
        credentials = (service.client_id, service.secret)
        assert (await api.post("/v1/phone-codes", json=body, headers=named, auth=credentials)).status_code == 202
        form = {"grant_type": "client_credentials"}
        assert (await api.post("/oauth/token", data=form, headers=named, auth=credentials)).status_code == 200
        assert (await person.patch("/v1/me", json={"party_member": False}, headers=named)).status_code == 200
    entry = "SELECT DISTINCT host(address) FROM audit_entries WHERE user_id = :id"
    assert (await db.execute(text(entry), {"id": person.user_id})).scalars().all() == [OWN]
    # A secret that is wrong is refused, since the limit of the caller's own address would surprise it.
    back_end.secret = back_end.secret[::-1]
    refused = await back_end.request_code(fresh_phone(), "203.0.113.67")
    assert get_refusal(refused) == (401, "unknown-client")
    assert refused.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize(
    "given", ["", "unknown", "203.0.113.6:80", "[2001:db8::1]", "203.0.113.6, 203.0.113.7", "1" * 65]
)
async def test_unreadable_address_of_a_person_is_refused(back_end: BackEnd, given: str) -> None:
    tokens = get_body(await back_end.sign_in(phone := fresh_phone(), "203.0.113.68"))
    person = Person(phone, "", "", back_end.api, tokens["access_token"])
    assert get_refusal(await back_end.request_code(fresh_phone(), given)) == (400, "unreadable-person-address")
    changed = await person.patch("/v1/me", json={"party_member": True}, headers={"Xuezu-Person-Address": given})
    assert get_refusal(changed) == (400, "unreadable-person-address")
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    refused = await back_end.post("/oauth/token", given, data=form)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")


async def test_back_end_needs_its_secret(back_end: BackEnd, engine: AsyncEngine) -> None:
    """Its id alone opens no session. A secret is rotated like that of a service."""
    form = {"grant_type": "refresh_token", "refresh_token": "x" * 43, "client_id": back_end.client_id}
    public = await back_end.api.post("/oauth/token", data=form)
    assert (public.status_code, public.json()["error"]) == (401, "invalid_client")
    started = await back_end.post("/oauth/device_authorization", None, data={"scope": "orgs:read"})
    assert (started.status_code, started.json()["error"]) == (400, "unauthorized_client")
    async with engine.begin() as db:
        back_end.secret = await rotate_secret(db, Actor(), back_end.client_id)
    assert (await back_end.sign_in(fresh_phone(), None)).status_code == 200
