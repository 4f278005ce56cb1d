"""Third-party OAuth clients: discovery, device flow, refresh and revocation work by the standards alone."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client as UntypedClient
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from fastapi import FastAPI

from app.auth.device_flow import authorizations as device_authorizations
from app.core.services import SETTINGS
from app.core.settings import Settings
from tests.auth.live_server import serve_at_own_address
from tests.people import People, Person

AsyncOAuth2Client: Any = UntypedClient
OAUTH4WEBAPI = "oauth4webapi@3.8.8"
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


async def scan(person: Person, user_code: str) -> str:
    scanned = await person.post("/v1/scans", json={"code": user_code})
    assert scanned.status_code == 201, scanned.text
    return str(scanned.json()["id"])


async def approve(person: Person, scan_id: str, number: int) -> None:
    approved = await person.put(f"/v1/scans/{scan_id}/approval", json={"number": number})
    assert approved.status_code == 200, approved.text


async def test_authlib_client_completes_the_device_flow(url: str, person: Person) -> None:
    found = (await person.api.get("/.well-known/oauth-authorization-server")).json()
    server = AuthorizationServerMetadata(found)
    assert server.issuer == url
    async with AsyncOAuth2Client("xuezu-console", token_endpoint_auth_method="none") as console:
        form = {"client_id": "xuezu-console"}
        answer = await console.request("POST", found["device_authorization_endpoint"], data=form, withhold_token=True)
        device = answer.json()
        scan_id = await scan(person, device["user_code"])

        async def poll() -> Any:
            return await console.fetch_token(
                found["token_endpoint"],
                grant_type="urn:ietf:params:oauth:grant-type:device_code",
                device_code=device["device_code"],
            )

        with pytest.raises(OAuthError) as pending:
            await poll()
        assert pending.value.error == "authorization_pending"
        number = int(str(pending.value.description).rpartition(" ")[2])
        await approve(person, scan_id, number)
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
def oauth4webapi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with the package and the script that uses it."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        skip_or_fail("needs Node and npm")
    directory = tmp_path_factory.mktemp("node")
    flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--prefix", str(directory)]
    try:
        subprocess.run([npm, "install", *flags, OAUTH4WEBAPI], check=True, capture_output=True, timeout=NPM_SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        skip_or_fail("npm could not install oauth4webapi")
    shutil.copy(Path(__file__).with_name("oauth_client.mjs"), directory)
    return directory


async def test_oauth4webapi_client_completes_the_device_flow(
    url: str, person: Person, oauth4webapi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_authorizations, "INTERVAL", 1)  # the client waits for the interval of the answer
    node = shutil.which("node")
    assert node is not None
    console = await asyncio.create_subprocess_exec(
        node,
        str(oauth4webapi / "oauth_client.mjs"),
        url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert console.stdout is not None
    lines: list[dict[str, Any]] = []
    scan_id = ""
    async with asyncio.timeout(60):
        async for line in console.stdout:
            lines.append(json.loads(line))
            if "user_code" in lines[-1]:
                scan_id = await scan(person, lines[-1]["user_code"])
            if lines[-1].get("match_number"):
                await approve(person, scan_id, lines[-1]["match_number"])
        _, errors = await console.communicate()
    assert console.returncode == 0, errors.decode()
    assert lines[-3:] == [{"granted": 200, "subject": person.user_id}, {"refreshed": 200}, {"revoked": 401}]
