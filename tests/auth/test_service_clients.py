"""Service clients: credentials with scopes, rotation with overlap, immediate revocation."""

from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit_log.entries import Actor
from app.auth.clients import create_client, revoke_client, rotate_secret
from app.authz.tokens import VERIFIER
from app.database.db import ENGINE
from tests.acts import get_body, get_refusal
from tests.auth.consoles import Console, approve, scan
from tests.auth.operator_accounts import create_operator
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


# What can be registered, revoked and restored


@pytest.mark.parametrize(
    ("kind", "scopes"),
    [
        ("device", []),
        ("device", ["point-events:write"]),
        ("service", ["members:read"]),
        ("service", ["point-events:write", "account:read"]),
    ],
)
async def test_scopes_of_another_kind_cannot_be_registered(
    app: FastAPI, people: People, kind: str, scopes: list[str]
) -> None:
    operator = await create_operator(app, people)
    body = {"name": "程序", "kind": kind, "scopes": scopes}
    assert get_refusal(await operator.post("/v1/operator/clients", json=body)) == (422, "unusable-scopes")


@pytest.mark.parametrize("scope", ["account:manage", "operator", "everything"])
async def test_reserved_and_unknown_scopes_cannot_be_registered(app: FastAPI, people: People, scope: str) -> None:
    operator = await create_operator(app, people)
    body = {"name": "程序", "kind": "device", "scopes": [scope]}
    assert get_refusal(await operator.post("/v1/operator/clients", json=body)) == (422, "invalid")


@pytest.mark.parametrize("client_id", ["xuezu-app", "xuezu-console"])
async def test_built_in_client_cannot_be_revoked(app: FastAPI, people: People, client_id: str) -> None:
    operator = await create_operator(app, people)
    refused = await operator.delete(f"/v1/operator/clients/{client_id}")
    assert get_refusal(refused) == (409, "built-in-client")
    assert get_body(await operator.get(f"/v1/operator/clients/{client_id}"))["revoked_at"] is None
    assert (await operator.get("/v1/me")).status_code == 200, "its sessions go on"


async def test_revoked_client_is_restored_with_its_secret(app: FastAPI, people: People) -> None:
    operator = await create_operator(app, people)
    body = {"name": "积分系统", "kind": "service", "scopes": [SCOPE]}
    made = get_body(await operator.post("/v1/operator/clients", json=body), 201)
    one, secret = f"/v1/operator/clients/{made['client_id']}", made["client_secret"]
    assert (await operator.delete(one)).status_code == 204
    assert (await request_token(people.api, made["client_id"], secret)).status_code == 401
    for _ in range(2):
        assert get_body(await operator.put(f"{one}/restoration"))["revoked_at"] is None
    assert (await request_token(people.api, made["client_id"], secret)).status_code == 200
    audited = text("SELECT count(*) FROM audit_entries WHERE action = 'client.restored' AND after->>'client' = :id")
    async with ENGINE.get(app).connect() as db:
        assert await db.scalar(audited, {"id": made["client_id"]}) == 1


async def test_restored_program_has_no_session_of_before(app: FastAPI, people: People) -> None:
    operator, person = await create_operator(app, people), await people.register(verified=False)
    body = {"name": "桌面端", "kind": "device", "scopes": ["account:read"]}
    client_id = get_body(await operator.post("/v1/operator/clients", json=body), 201)["client_id"]
    console = await Console.request(people.api, client_id)
    await approve(person, (await scan(person, console))["id"], console.proof)
    tokens = get_body(await console.poll())
    await operator.delete(f"/v1/operator/clients/{client_id}")
    await operator.put(f"/v1/operator/clients/{client_id}/restoration")
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await people.api.get("/v1/me", headers=headers)).status_code == 401
