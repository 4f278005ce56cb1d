"""What a client reads before its first sign-in: RFC 8414, RFC 9728, and names that nobody can register."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.authz.scopes import DEVICE_SCOPES, SERVICE_SCOPES
from tests.acts import get_body
from tests.auth.operator_accounts import create_operator
from tests.people import People, Person


def list_empty(value: Any, at: str = "") -> list[str]:
    """Return the places of empty arrays, objects and texts."""
    if isinstance(value, dict):
        return (
            [at] if not value else [place for name, part in value.items() for place in list_empty(part, f"{at}/{name}")]
        )
    if isinstance(value, list):
        return [at] if not value else [place for part in value for place in list_empty(part, at)]
    return [at] if value == "" else []


async def test_metadata_has_no_claim_without_values(api: httpx.AsyncClient) -> None:
    """RFC 8414 §3.2 wants such claims omitted, and clients refuse an empty array."""
    for path in ("oauth-authorization-server", "oauth-protected-resource/v1"):
        found = get_body(await api.get(f"/.well-known/{path}"))
        assert list_empty(found) == []
        assert set(found["scopes_supported"]) == DEVICE_SCOPES | SERVICE_SCOPES


async def test_metadata_names_the_step_up(api: httpx.AsyncClient) -> None:
    found = get_body(await api.get("/.well-known/oauth-authorization-server"))
    assert found["acr_values_supported"] == ["urn:xuezu:acr:security-key"]


async def test_resource_names_its_authorization_server(api: httpx.AsyncClient) -> None:
    """The address is that of the resource with the well-known part after its host (RFC 9728 §3.1)."""
    resource = get_body(await api.get("/.well-known/oauth-protected-resource/v1"))
    assert resource["resource"] == "http://localhost:8000/v1"
    (issuer,) = resource["authorization_servers"]
    server = get_body(await api.get("/.well-known/oauth-authorization-server"))
    assert (server["issuer"], server["jwks_uri"]) == (issuer, resource["jwks_uri"])


async def test_challenge_names_the_metadata_of_the_resource(api: httpx.AsyncClient, people: People) -> None:
    """RFC 9728 §5.1. `tests.contract` compares every 401 of /v1 in the tests; these have different challenges."""
    address = 'resource_metadata="http://localhost:8000/.well-known/oauth-protected-resource/v1"'
    unsigned = await api.get("/v1/me")
    assert unsigned.headers["WWW-Authenticate"] == f"Bearer {address}"
    for path in ("/v1/me", "/v1/orgs/019b0000-0000-7000-8000-000000000000"):
        forged = await api.get(path, headers={"Authorization": "Bearer a.b.c"})
        assert forged.headers["WWW-Authenticate"] == f'Bearer error="invalid_token", {address}'
    person = await people.register()
    org = await person.create_org(region_code="320000")
    keyless = await person.patch(f"/v1/orgs/{org['id']}", json={"name": "x"}, headers={"If-Match": "*"})
    assert keyless.status_code == 401
    assert keyless.headers["WWW-Authenticate"].endswith(f', max_age="43200", {address}')
    (metadata,) = address.split('"')[1:2]
    assert get_body(await api.get(metadata))["authorization_servers"] == ["http://localhost:8000"]


@pytest.fixture
async def operator(app: FastAPI, people: People) -> Person:
    return await create_operator(app, people)


NUL = "xuezu\x00app"


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/device_authorization", "/oauth/revoke"])
@pytest.mark.parametrize("how", ["body", "basic", "encoded basic"])
async def test_client_id_with_nul_is_refused(api: httpx.AsyncClient, path: str, how: str) -> None:
    form = {"grant_type": "client_credentials", "token": "x" * 43}
    if how == "body":
        answer = await api.post(path, data=form | {"client_id": NUL})
    else:
        answer = await api.post(path, data=form, auth=(NUL if how == "basic" else "xuezu%00app", "secret"))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_client_id_with_nul_in_an_address_is_refused(api: httpx.AsyncClient, operator: Person) -> None:
    for method, ending in (("GET", ""), ("DELETE", ""), ("PUT", "/restoration"), ("POST", "/secrets")):
        body: dict[str, Any] = {"json": {}} if method == "POST" else {}
        answer = await operator.request(method, f"/v1/operator/clients/%00{ending}", **body)
        assert answer.status_code in (404, 422), (method, ending, answer.text)
