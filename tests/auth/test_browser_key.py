"""WebAuthn in a browser: Chromium with a virtual authenticator registers a security key and proves it."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from playwright.async_api import Browser, Page

from app.core.services import SETTINGS
from app.core.settings import Settings
from tests.auth.live_server import serve_at_own_address
from tests.people import People, Person

pytestmark = pytest.mark.browser

# The page passes the options of the service unchanged and returns the credential as the browser creates it.
CREATE = """async (options) => (await navigator.credentials.create({
    publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options)
})).toJSON()"""
GET = """async (options) => (await navigator.credentials.get({
    publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options)
})).toJSON()"""


@pytest.fixture(scope="module")
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    async with serve_at_own_address(settings) as application:
        yield application


@pytest.fixture
async def person(app: FastAPI) -> AsyncIterator[Person]:
    url: str = SETTINGS.get(app).issuer
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=url) as phone:
        yield await People(phone).register()


@pytest.fixture
async def page(app: FastAPI, browser: Browser) -> AsyncIterator[Page]:
    """A page of the service's origin, in a browser with a USB key plugged in."""
    async with await browser.new_context() as context:
        opened = await context.new_page()
        devices = await opened.context.new_cdp_session(opened)
        await devices.send("WebAuthn.enable")
        key = {"protocol": "ctap2", "transport": "usb", "automaticPresenceSimulation": True}
        await devices.send("WebAuthn.addVirtualAuthenticator", {"options": key})
        await opened.goto(f"{SETTINGS.get(app).issuer}/livez")
        yield opened


async def test_browser_registers_and_proves_a_key(page: Page, person: Person) -> None:
    org = await person.create_org(region_code="320000")
    units = f"/v1/orgs/{org['id']}/units"
    assert (await person.get(units)).status_code == 401

    async def answer_challenge(purpose: str, script: str) -> dict[str, Any]:
        challenge = (await person.post("/v1/me/security-key-challenges", json={"purpose": purpose})).json()
        return {"challenge_id": challenge["id"], "credential": await page.evaluate(script, challenge["options"])}

    body = await answer_challenge("registration", CREATE) | {"name": "USB-KEY"}
    made = await person.post("/v1/me/security-keys", json=body)
    assert made.status_code == 201, made.text
    for _ in range(2):
        proved = await person.put("/v1/me/security-key-check", json=await answer_challenge("check", GET))
        assert proved.status_code == 200, proved.text
    assert (await person.get(units)).status_code == 200
