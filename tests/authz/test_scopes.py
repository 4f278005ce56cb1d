"""Scopes: what a program may do for a person who has approved its sign-in (RFC 6749 §3.3)."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit_log.entries import Actor
from app.auth.clients import create_client
from app.authz.scopes import DEVICE_SCOPES, OWN_SCOPES
from app.authz.tokens import ISSUER, VERIFIER
from tests.acts import get_body, get_refusal
from tests.auth.consoles import DESKTOP, Console, approve, scan
from tests.people import People, Person

Worker = Callable[[], Awaitable[None]]


@pytest.fixture
async def person(people: People) -> Person:
    return await people.register()


@pytest.fixture
async def reader(engine: AsyncEngine) -> str:
    """Return the id of a program that may read orgs and reports."""
    async with engine.begin() as db:
        made = await create_client(db, Actor(), name="报表大屏", kind="device", scopes=["orgs:read", "reports:read"])
    return made.client_id


async def sign_in(person: Person, client_id: str, **form: str) -> dict[str, Any]:
    """Sign the program in as this person, and return its tokens."""
    console = await Console.request(person.api, client_id, **form)
    await approve(person, (await scan(person, console))["id"], console.proof)
    tokens: dict[str, Any] = get_body(await console.poll())
    return tokens


def act_as(person: Person, tokens: dict[str, Any]) -> Person:
    return Person(person.phone, person.name, person.user_id, person.api, tokens["access_token"])


async def refresh(api: httpx.AsyncClient, tokens: dict[str, Any], client_id: str, **form: str) -> httpx.Response:
    form |= {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": tokens["refresh_token"]}
    return await api.post("/oauth/token", data=form)


async def test_program_gets_the_scopes_that_it_was_registered_with(person: Person, reader: str) -> None:
    org = await person.create_org()
    tokens = await sign_in(person, reader)
    assert tokens["scope"] == "orgs:read reports:read"
    screen = act_as(person, tokens)
    assert (await screen.get(f"/v1/orgs/{org['id']}/reports/overview")).status_code == 200
    refused = await screen.get(f"/v1/orgs/{org['id']}/members")
    assert get_refusal(refused) == (403, "insufficient-scope")
    assert refused.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="members:read"'
    assert get_refusal(await screen.get("/v1/me")) == (403, "insufficient-scope")


async def test_person_sees_the_scopes_before_the_approval(person: Person, reader: str) -> None:
    console = await Console.request(person.api, reader, scope="reports:read")
    scanned = await scan(person, console)
    assert scanned["scopes"] == [{"name": "reports:read", "description": "See reports and rankings"}]
    await approve(person, scanned["id"], console.proof)
    assert get_body(await console.poll())["scope"] == "reports:read"


@pytest.mark.parametrize(
    "scope", ["members:read", "reports:read members:read", "everything", "account:manage", "operator", "REPORTS:READ"]
)
async def test_scope_that_the_program_does_not_have_is_refused(api: httpx.AsyncClient, reader: str, scope: str) -> None:
    answer = await api.post("/oauth/device_authorization", data={"client_id": reader, "scope": scope})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


async def test_unknown_scope_of_the_app_is_refused(api: httpx.AsyncClient) -> None:
    grant = "urn:xuezu:params:oauth:grant-type:phone-code"
    form = {"grant_type": grant, "client_id": "xuezu-app", "phone": "13800138000", "code": "1", "scope": "everything"}
    answer = await api.post("/oauth/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


async def test_refreshed_token_has_the_scopes_of_the_session(person: Person, reader: str) -> None:
    tokens = await sign_in(person, reader)
    narrow = get_body(await refresh(person.api, tokens, reader, scope="reports:read"))
    assert narrow["scope"] == "reports:read"
    wider = await refresh(person.api, narrow, reader, scope="reports:read members:read")
    assert (wider.status_code, wider.json()["error"]) == (400, "invalid_scope")
    # The refusal has not used the refresh token up, and the session has all its scopes still (RFC 6749 §6).
    assert get_body(await refresh(person.api, narrow, reader))["scope"] == "orgs:read reports:read"


async def test_scope_that_the_program_has_lost_is_not_refreshed(
    person: Person, reader: str, db: AsyncConnection
) -> None:
    tokens = await sign_in(person, reader)
    await db.execute(text("UPDATE oauth_clients SET scopes = '{reports:read}' WHERE id = :id"), {"id": reader})
    assert get_body(await refresh(person.api, tokens, reader))["scope"] == "reports:read"


async def test_scope_that_the_program_got_later_is_not_refreshed(
    person: Person, reader: str, db: AsyncConnection
) -> None:
    """The person has not seen it."""
    tokens = await sign_in(person, reader)
    more = text("UPDATE oauth_clients SET scopes = scopes || '{members:read}' WHERE id = :id")
    await db.execute(more, {"id": reader})
    assert get_body(await refresh(person.api, tokens, reader))["scope"] == "orgs:read reports:read"


async def test_app_has_all_scopes_and_a_program_never_those_of_the_account(app: FastAPI, person: Person) -> None:
    assert (await VERIFIER.get(app).verify(person.token)).scopes == OWN_SCOPES
    tokens = await sign_in(person, DESKTOP)
    assert set(tokens["scope"].split()) == DEVICE_SCOPES
    desktop = act_as(person, tokens)
    for method, path in (
        ("PUT", "/v1/me/phone"),
        ("PUT", "/v1/me/closure"),
        ("POST", "/v1/me/security-keys"),
        ("DELETE", "/v1/me/sessions"),
        ("POST", "/v1/scans"),
    ):
        answer = await desktop.request(method, path, **({} if method == "DELETE" else {"json": {}}))
        assert get_refusal(answer) == (403, "insufficient-scope"), path


async def test_export_of_people_is_hidden_from_a_program_that_may_not_read_people(
    person: Person, reader: str, worker: Worker
) -> None:
    """The console makes the export; a program of the same person that may only read orgs does not find it."""
    at = f"/v1/orgs/{(await person.create_org())['id']}"
    made = get_body(await person.post(f"{at}/members/exports", json={}), 202)
    await worker()
    screen = act_as(person, await sign_in(person, reader))
    assert get_body(await screen.get(f"{at}/exports"))["items"] == []
    for path in (f"{at}/exports/{made['id']}", f"{at}/exports/{made['id']}/content"):
        assert get_refusal(await screen.get(path)) == (404, "not-found")
        assert (await person.get(path)).status_code == 200


async def test_token_of_a_person_without_any_scope_is_invalid(app: FastAPI, person: Person) -> None:
    """Tokens from before there were scopes: the client refreshes and gets one with scopes."""
    token = await VERIFIER.get(app).verify(person.token)
    old = await ISSUER.get(app).issue(token.subject, client_id="xuezu-app", session_id=token.session_id, scopes=())
    answer = await person.api.get("/v1/me", headers={"Authorization": f"Bearer {old}"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token", ')
