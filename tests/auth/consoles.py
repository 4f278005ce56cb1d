"""Clients that sign in by QR code, for the tests. All calls go over HTTP."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.people import Person

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
DESKTOP = "device-of-tests"
"""The client of most tests, registered in the template of their databases."""
BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
)


@dataclass
class Console:
    """A client that has started a device authorization and polls for its tokens."""

    api: httpx.AsyncClient
    client_id: str
    device_code: str
    user_code: str
    given: dict[str, Any]

    @classmethod
    async def request(cls, api: httpx.AsyncClient, client_id: str = DESKTOP, **form: str) -> "Console":
        answer = await api.post(
            "/oauth/device_authorization", data={"client_id": client_id, **form}, headers={"User-Agent": BROWSER}
        )
        assert answer.status_code == 200, answer.text
        given = answer.json()
        return cls(api, client_id, given["device_code"], given["user_code"], given)

    @property
    def scan_code(self) -> str:
        """Return the code in the QR code."""
        query = urlsplit(str(self.given["verification_uri_complete"])).query
        return parse_qs(query)["code"][0]

    @property
    def proof(self) -> dict[str, str]:
        """Return the proof that the person types into the phone after the scan: the end of the user code."""
        return {"user_code_end": self.user_code[-4:]}

    async def poll(self, device_code: str | None = None, client_id: str | None = None) -> httpx.Response:
        form = {
            "grant_type": DEVICE_GRANT,
            "client_id": client_id or self.client_id,
            "device_code": device_code or self.device_code,
        }
        return await self.api.post("/oauth/token", data=form, headers={"User-Agent": BROWSER})

    async def error(self) -> str:
        """Poll once, assert that the answer is an error, and return its code."""
        answer = await self.poll()
        assert answer.status_code == 400, answer.text
        return str(answer.json()["error"])


async def scan(person: Person, console: Console) -> dict[str, Any]:
    scanned = await person.post("/v1/scans", json={"code": console.scan_code})
    assert scanned.status_code == 201, scanned.text
    found: dict[str, Any] = scanned.json()
    return found


async def approve(person: Person, scan_id: str, proof: dict[str, Any]) -> httpx.Response:
    return await person.put(f"/v1/scans/{scan_id}/approval", json=proof)


async def sign_in_console(person: Person) -> dict[str, Any]:
    """Sign a client in as this person and return its tokens."""
    console = await Console.request(person.api)
    scanned = await scan(person, console)
    approved = await approve(person, scanned["id"], console.proof)
    assert approved.status_code == 200, approved.text
    tokens: dict[str, Any] = (await console.poll()).json()
    return tokens
