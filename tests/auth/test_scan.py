"""The QR scan (S12, RFC 8628): from the code on the screen to the console's tokens."""

import io

import httpx
import zxingcpp
from fastapi import FastAPI
from PIL import Image

from tests.auth.consoles import Console, approve, scan, sign_in_console
from tests.people import People


async def test_approved_scan_signs_the_console_in(people: People) -> None:
    person = await people.register(verified=False)
    console = await Console.request(people.api)
    assert await console.error() == "authorization_pending"
    scanned = await scan(person, console)
    assert scanned["device"] == "Chrome 131 · Windows"
    assert scanned["address"] == "127.0.0.1"
    assert scanned["client"] == "测试桌面端"
    approved = await approve(person, scanned["id"], console.proof)
    assert approved.status_code == 200
    assert approved.json()["state"] == "approved"
    granted = await console.poll()
    assert granted.status_code == 200
    assert granted.headers["cache-control"] == "no-store"
    headers = {"Authorization": f"Bearer {granted.json()['access_token']}"}
    me = await people.api.get("/v1/me", headers=headers)
    assert me.json()["id"] == person.user_id
    sessions = (await people.api.get("/v1/me/sessions", headers=headers)).json()["items"]
    assert (sessions[0]["device"], sessions[0]["current"]) == ("Chrome 131 · Windows", True)


async def test_qr_picture_contains_the_verification_address(people: People) -> None:
    console = await Console.request(people.api)
    png = await people.api.get(f"/v1/device-authorizations/{console.user_code}/qr.png")
    read = zxingcpp.read_barcodes(Image.open(io.BytesIO(png.content)))
    assert [code.text for code in read] == [console.given["verification_uri_complete"]]
    svg = await people.api.get(f"/v1/device-authorizations/{console.user_code}/qr.svg")
    assert svg.headers["content-type"] == "image/svg+xml"


async def test_second_redemption_of_a_code_is_refused(people: People) -> None:
    person = await people.register(verified=False)
    console = await Console.request(people.api)
    scanned = await scan(person, console)
    await approve(person, scanned["id"], console.proof)
    assert (await console.poll()).status_code == 200
    again = await console.poll()
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


async def test_console_has_its_own_session(people: People) -> None:
    person = await people.register(verified=False)
    tokens = await sign_in_console(person)
    sessions = (await person.get("/v1/me/sessions")).json()["items"]
    assert len(sessions) == 2
    current = next(item for item in sessions if item["current"])
    await person.delete(f"/v1/me/sessions/{current['id']}")
    assert (await person.get("/v1/me")).status_code == 401
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await people.api.get("/v1/me", headers=headers)).status_code == 200


async def test_address_with_a_zone_is_accepted(app: FastAPI) -> None:
    transport = httpx.ASGITransport(app, client=("fe80::1%eth0", 5))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as neighbour:
        assert (await Console.request(neighbour)).user_code
