"""Phone codes for the tests: each code is redeemed with the handle of the request for it."""

import asyncio
import re

import httpx


async def request_code(api: httpx.AsyncClient, phone: str) -> dict[str, str]:
    """Request a sign-in code over HTTP. Return the form fields `phone`, `code` and `handle`.

    The message is sent after the answer, so a caller over a socket can be earlier than it.
    """

    async def list_messages() -> list[dict[str, str]]:
        found: list[dict[str, str]] = (await api.get("/v1/simulator/sms", params={"phone": phone})).json()["items"]
        return found

    before = await list_messages()
    sent = await api.post("/v1/phone-codes", json={"phone": phone})
    assert sent.status_code == 202, sent.text
    async with asyncio.timeout(10):
        while (messages := await list_messages()) == before:  # noqa: ASYNC110 — the simulator has no event for it
            await asyncio.sleep(0.02)
    return {"phone": phone, "code": messages[0]["code"], "handle": str(sent.json()["handle"])}


def find_handles(page: str) -> dict[str, str]:
    """Return the handles in the form of a page, by field."""
    return dict(re.findall(r'name="((?:old_phone_)?handle)" value="([^"]+)"', page))


def change_code(code: str) -> str:
    """Return another code of six digits."""
    return f"{(int(code) + 1) % 1_000_000:06d}"
