"""Consoles that sign in by QR code, for the tests. All calls go over HTTP."""

from dataclasses import dataclass
from typing import Any

import httpx

from tests.people import Person

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
)


@dataclass
class Console:
    """A console with its device authorization and its polls."""

    api: httpx.AsyncClient
    device_code: str
    user_code: str
    given: dict[str, Any]

    @classmethod
    async def request(cls, api: httpx.AsyncClient, client_id: str = "xuezu-console") -> "Console":
        answer = await api.post(
            "/oauth/device_authorization", data={"client_id": client_id}, headers={"User-Agent": BROWSER}
        )
        assert answer.status_code == 200, answer.text
        given = answer.json()
        return cls(api, given["device_code"], given["user_code"], given)

    async def poll(self, device_code: str | None = None, client_id: str = "xuezu-console") -> httpx.Response:
        form = {"grant_type": DEVICE_GRANT, "client_id": client_id, "device_code": device_code or self.device_code}
        return await self.api.post("/oauth/token", data=form, headers={"User-Agent": BROWSER})

    async def error(self) -> str:
        """Poll and return the error of the answer."""
        answer = await self.poll()
        assert answer.status_code == 400, answer.text
        return str(answer.json()["error"])

    async def match_number(self) -> int:
        """Poll and return the number that the console shows after the scan."""
        number: int = (await self.poll()).json()["match_number"]
        return number


async def scan(person: Person, console: Console) -> dict[str, Any]:
    scanned = await person.post("/v1/scans", json={"code": console.user_code})
    assert scanned.status_code == 201, scanned.text
    found: dict[str, Any] = scanned.json()
    return found


async def approve(person: Person, scan_id: str, number: int) -> httpx.Response:
    return await person.put(f"/v1/scans/{scan_id}/approval", json={"number": number})


async def sign_in_console(person: Person) -> dict[str, Any]:
    """Sign a console in as this person and return its tokens."""
    console = await Console.request(person.api)
    scanned = await scan(person, console)
    approved = await approve(person, scanned["id"], await console.match_number())
    assert approved.status_code == 200, approved.text
    tokens: dict[str, Any] = (await console.poll()).json()
    return tokens
