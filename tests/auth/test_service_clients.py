"""Service clients: credentials with scopes, rotation with overlap, immediate revocation."""

from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit_log.entries import Actor
from app.auth.clients import create_client, revoke_client, rotate_secret
from app.authz.tokens import VERIFIER
from tests.people import People

SCOPE = "point-events:write"


async def make_client(engine: AsyncEngine) -> tuple[str, str]:
    async with engine.begin() as db:
        client = await create_client(db, Actor(), name="points", scopes=[SCOPE])
    assert client.secret is not None
    return client.client_id, client.secret


async def request_token(api: httpx.AsyncClient, client_id: str, secret: str, **form: str) -> httpx.Response:
    return await api.post("/oauth/token", data={"grant_type": "client_credentials"} | form, auth=(client_id, secret))


async def test_service_gets_a_token_with_its_scopes(app: FastAPI, api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    client_id, secret = await make_client(engine)
    granted = await request_token(api, client_id, secret)
    assert granted.status_code == 200, granted.text
    assert granted.headers["cache-control"] == "no-store"
    assert granted.json()["scope"] == SCOPE
    assert "refresh_token" not in granted.json()
    verifier = VERIFIER.get(app)
    token = await verifier.verify(granted.json()["access_token"])
    assert (token.subject, token.session_id, token.scopes) == (client_id, None, frozenset({SCOPE}))


async def test_credentials_in_the_body_are_accepted(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    client_id, secret = await make_client(engine)
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    assert (await api.post("/oauth/token", data=form)).status_code == 200
    both = await api.post("/oauth/token", data=form, auth=(client_id, secret))
    assert (both.status_code, both.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("wrong", ["secret", "client", "public", "nothing"])
async def test_wrong_credentials_are_refused(api: httpx.AsyncClient, engine: AsyncEngine, wrong: str) -> None:
    client_id, secret = await make_client(engine)
    other_id, _ = await make_client(engine)
    auth = {
        "secret": (client_id, secret[:-1] + ("A" if secret[-1] != "A" else "B")),
        "client": (other_id, secret),
        "public": ("xuezu-app", secret),
        "nothing": (client_id, ""),
    }[wrong]
    refused = await request_token(api, *auth)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    assert refused.headers["www-authenticate"].startswith("Basic ")


async def test_scope_that_the_client_lacks_is_refused(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    client_id, secret = await make_client(engine)
    refused = await request_token(api, client_id, secret, scope=f"{SCOPE} members:read")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")


@pytest.mark.parametrize(
    "grant_type",
    [
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:xuezu:params:oauth:grant-type:phone-code",
    ],
)
async def test_grant_for_users_is_refused_to_a_service(
    api: httpx.AsyncClient, engine: AsyncEngine, grant_type: str
) -> None:
    client_id, secret = await make_client(engine)
    refused = await request_token(api, client_id, secret, grant_type=grant_type)
    assert (refused.status_code, refused.json()["error"]) == (400, "unauthorized_client")


async def test_service_token_is_refused_as_user_token(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    client_id, secret = await make_client(engine)
    token = (await request_token(api, client_id, secret)).json()["access_token"]
    refused = await api.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/user-needed")


async def test_old_secret_is_valid_during_the_overlap(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    client_id, old = await make_client(engine)
    async with engine.begin() as db:
        new = await rotate_secret(db, Actor(), client_id, overlap=timedelta(hours=1))
    assert (await request_token(api, client_id, old)).status_code == 200
    assert (await request_token(api, client_id, new)).status_code == 200
    async with engine.begin() as db:
        newest = await rotate_secret(db, Actor(), client_id, overlap=timedelta())
    assert [(await request_token(api, client_id, secret)).status_code for secret in (old, new, newest)] == [
        401,
        401,
        200,
    ]


async def test_revoked_client_is_refused(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    client_id, secret = await make_client(engine)
    token = (await request_token(api, client_id, secret)).json()["access_token"]
    async with engine.begin() as db:
        await revoke_client(db, Actor(), client_id)
    assert (await request_token(api, client_id, secret)).status_code == 401
    headers = {"Authorization": f"Bearer {token}"}
    assert (await api.post("/v1/point-events", json={"events": []}, headers=headers)).status_code in {401, 404}


async def test_simulator_creates_a_client(people: People) -> None:
    made = await people.api.post("/v1/simulator/clients", json={"scopes": [SCOPE]})
    assert made.status_code == 200
    granted = await request_token(people.api, made.json()["client_id"], made.json()["client_secret"])
    assert granted.json()["scope"] == SCOPE
