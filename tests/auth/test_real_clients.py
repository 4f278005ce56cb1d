"""Third-party OAuth clients: discovery, device flow, refresh and revocation work by the standards alone."""

import asyncio
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client as UntypedClient
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from fastapi import FastAPI
from sqlalchemy import text

from app.auth.device_flow import authorizations as device_authorizations
from app.core.services import SETTINGS
from app.core.settings import Settings
from app.database.db import ENGINE
from tests.auth.consoles import DESKTOP, DEVICE_GRANT
from tests.auth.live_server import serve_at_own_address
from tests.people import People, Person

AsyncOAuth2Client: Any = UntypedClient
NODE_PACKAGES = ("openid-client@6.9.0", "oauth4webapi@3.8.8")
NODE_SCRIPTS = ("openid_client.mjs", "oauth4webapi_client.mjs")
NPM_SECONDS = 60


@pytest.fixture(scope="module")
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    async with serve_at_own_address(settings) as application:
        yield application


@pytest.fixture(scope="module")
def url(app: FastAPI) -> str:
    address: str = SETTINGS.get(app).issuer
    return address


@pytest.fixture
async def person(app: FastAPI, url: str) -> AsyncIterator[Person]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=url) as phone:
        yield await People(phone).register(verified=False, party=False)


async def approve_scan(person: Person, device: dict[str, Any]) -> None:
    """Scan the QR code of this device authorization response, and approve with what every client shows."""
    (code,) = parse_qs(urlsplit(device["verification_uri_complete"]).query)["code"]
    scanned = await person.post("/v1/scans", json={"code": code})
    assert scanned.status_code == 201, scanned.text
    proof = {"user_code_end": device["user_code"][-4:]}
    approved = await person.put(f"/v1/scans/{scanned.json()['id']}/approval", json=proof)
    assert approved.status_code == 200, approved.text


async def test_authlib_client_completes_the_device_flow(url: str, person: Person) -> None:
    """Authlib has no function that polls, so its user writes the loop."""
    found = (await person.api.get("/.well-known/oauth-authorization-server")).json()
    server = AuthorizationServerMetadata(found)
    assert server.issuer == url
    async with AsyncOAuth2Client(DESKTOP, token_endpoint_auth_method="none") as console:
        form = {"client_id": DESKTOP}
        answer = await console.request("POST", found["device_authorization_endpoint"], data=form, withhold_token=True)
        device = answer.json()

        async def poll() -> Any:
            return await console.fetch_token(
                found["token_endpoint"],
                grant_type="urn:ietf:params:oauth:grant-type:device_code",
                device_code=device["device_code"],
            )

        with pytest.raises(OAuthError) as pending:
            await poll()
        assert pending.value.error == "authorization_pending"
        await approve_scan(person, device)
        tokens = await poll()
        assert (await console.get(f"{url}/v1/me")).json()["id"] == person.user_id
        refreshed = await console.refresh_token(found["token_endpoint"], tokens["refresh_token"])
        assert refreshed["refresh_token"] != tokens["refresh_token"]
        assert (await console.get(f"{url}/v1/me")).status_code == 200
        revoked = await console.revoke_token(found["revocation_endpoint"], refreshed["refresh_token"])
        assert revoked.status_code == 200
        assert (await console.get(f"{url}/v1/me")).status_code == 401


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test, or fail it if the environment requires all tools of the tests."""
    if os.environ.get("XUEZU_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def node_scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with the packages of Node and the scripts that use them."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        skip_or_fail("needs Node and npm")
    directory = tmp_path_factory.mktemp("node")
    flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--prefix", str(directory)]
    try:
        subprocess.run([npm, "install", *flags, *NODE_PACKAGES], check=True, capture_output=True, timeout=NPM_SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        skip_or_fail(f"npm could not install {' '.join(NODE_PACKAGES)}")
    for script in NODE_SCRIPTS:
        shutil.copy(Path(__file__).with_name(script), directory)
    return directory


async def run_client(url: str, person: Person, *command: str) -> list[dict[str, Any]]:
    """Run a client, approve its sign-in when it shows its codes, and return the lines that it prints."""
    client = await asyncio.create_subprocess_exec(
        *command, url, DESKTOP, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert client.stdout is not None
    lines: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        async for line in client.stdout:
            lines.append(json.loads(line))
            if "user_code" in lines[-1]:
                await approve_scan(person, lines[-1])
        _, errors = await client.communicate()
    assert client.returncode == 0, errors.decode()
    return lines


@pytest.mark.parametrize("script", NODE_SCRIPTS)
async def test_client_of_node_completes_the_device_flow(
    url: str, person: Person, node_scripts: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    """openid-client polls by itself (`pollDeviceAuthorizationGrant`), and its caller sees no answer but the tokens."""
    monkeypatch.setattr(device_authorizations, "INTERVAL", 1)  # the client waits for the interval of the answer
    lines = await run_client(url, person, "node", str(node_scripts / script))
    assert lines[-3:] == [{"granted": 200, "subject": person.user_id}, {"refreshed": 200}, {"revoked": 401}]


async def test_requests_oauth2client_completes_the_device_flow(
    url: str, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's DeviceAuthorizationPollingJob polls without help of its caller."""
    if importlib.util.find_spec("requests_oauth2client") is None:
        skip_or_fail("needs requests-oauth2client")
    monkeypatch.setattr(device_authorizations, "INTERVAL", 1)
    lines = await run_client(url, person, sys.executable, str(Path(__file__).with_name("desktop_client.py")))
    assert lines[-3:] == [{"granted": 200, "subject": person.user_id}, {"refreshed": 200}, {"revoked": 401}]


async def test_client_of_go_completes_the_device_flow(app: FastAPI, person: Person) -> None:
    """The form posts of `golang.org/x/oauth2`. Config.DeviceAccessToken does not know where the client id belongs: with
    each poll it first tries HTTP Basic with an empty password, and after an error the body. If the first try counted
    as a poll, the second would get `slow_down` each time."""
    api = person.api
    form = {"client_id": DESKTOP}
    device = (await api.post("/oauth/device_authorization", data=form)).json()
    form |= {"grant_type": DEVICE_GRANT, "device_code": device["device_code"]}

    async def retrieve_token() -> dict[str, Any]:
        tried = await api.post("/oauth/token", data=form, auth=(DESKTOP, ""))
        if tried.status_code != 200:
            tried = await api.post("/oauth/token", data=form)
        answer: dict[str, Any] = tried.json()
        return answer

    async def wait_for_the_interval() -> None:
        waited = "UPDATE device_authorizations SET polled_at = polled_at - interval '5 seconds' WHERE user_code = :code"
        async with ENGINE.get(app).begin() as db:
            await db.execute(text(waited), {"code": device["user_code"]})

    for _ in range(2):
        assert (await retrieve_token())["error"] == "authorization_pending"
        await wait_for_the_interval()
    await approve_scan(person, device)
    tokens = await retrieve_token()
    headers = {"Authorization": f"{tokens['token_type']} {tokens['access_token']}"}
    assert (await api.get("/v1/me", headers=headers)).json()["id"] == person.user_id
