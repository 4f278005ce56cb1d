"""S15 Chat on the PC, group files · 电脑端聊天与群文件"""

import httpx
from fastapi import FastAPI

from tests.acts import get_body, get_refusal
from tests.auth.consoles import Console, approve, scan
from tests.people import Person
from tests.rules.world import World


async def test_registered_desktop_client_signs_in_by_the_scan_and_an_unknown_one_does_not(
    world: World, operator: Person, api: httpx.AsyncClient
) -> None:
    """A desktop client signs in by the same scan: it is a registered client of the standard device flow (RFC 8628)."""
    # Unmodified OAuth libraries do the same in tests/auth/test_real_clients.py.
    registered = {"name": "电脑端聊天", "kind": "device", "scopes": ["account:read"]}
    client_id = get_body(await operator.post("/v1/operator/clients", json=registered), 201)["client_id"]
    desktop = await Console.request(api, client_id)
    scanned = await scan(world.learner, desktop)
    assert scanned["client"] == "电脑端聊天"
    get_body(await approve(world.learner, scanned["id"], desktop.proof))
    token = get_body(await desktop.poll())["access_token"]
    me = get_body(await api.get("/v1/me", headers={"Authorization": f"Bearer {token}"}))
    assert me["id"] == world.learner.user_id
    unknown = await api.post("/oauth/device_authorization", data={"client_id": "unknown"})
    assert (unknown.status_code, unknown.json()["error"]) == (401, "invalid_client")


async def test_person_sees_the_scopes_of_a_desktop_client_and_types_the_end_of_its_code(
    world: World, api: httpx.AsyncClient
) -> None:
    """Before the approval the person sees what the client may do, and types the end of the code on its screen (else 409
    `wrong-number`)."""
    desktop = await Console.request(api, scope="orgs:read")
    scanned = await scan(world.learner, desktop)
    assert [scope["name"] for scope in scanned["scopes"]] == ["orgs:read"]
    wrong = await approve(world.learner, scanned["id"], {"user_code_end": "AAAA"})
    assert get_refusal(wrong) == (409, "wrong-number")
    get_body(await approve(world.learner, scanned["id"], desktop.proof))


def test_api_has_no_operation_for_group_files(app: FastAPI) -> None:
    """Group files are not part of the service yet."""
    assert [path for path in app.openapi()["paths"] if "file" in path] == []
