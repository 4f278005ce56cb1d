"""An admin at the console without a browser: pages over HTTP, and forms sent as the page's script sends them."""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from html import unescape
from typing import Any

import httpx
from fastapi import FastAPI

from tests.auth.authenticator import SoftKey
from tests.console.conftest import ORIGIN, sign_in_to_console
from tests.people import Person

HOSTILE = "<script>alert`1`</script>\"onx='1"
"""A name that is allowed, and that no page may take for markup."""

TO_TYPE = re.compile("输入名称“\u2068?(.+?)\u2069?”以确认")
"""The name that has to be typed, on a page or in a dialog."""

_PART = {"HX-Request": "true"}


@dataclass
class Desk:
    """A person who is signed in to the console."""

    person: Person
    visitor: httpx.AsyncClient

    @classmethod
    async def sign_in(cls, app: FastAPI, person: Person) -> "Desk":
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 50002))
        visitor = httpx.AsyncClient(transport=transport, base_url="http://localhost:8000")
        await sign_in_to_console(visitor, person)
        return cls(person, visitor)

    async def page(self, path: str, status: int = 200) -> str:
        """Return a page's text, also that of an error page."""
        shown = await self.visitor.get(path)
        assert shown.status_code == status, (path, shown.status_code, shown.text[-900:])
        assert shown.text.startswith("<!doctype html>")
        assert "<script>alert" not in shown.text
        return normalize_text(shown.text)

    async def part(self, path: str, status: int = 200) -> str:
        """Return the text of a dialog or another part of a page."""
        shown = await self.visitor.get(path, headers=_PART)
        assert shown.status_code == status, (path, shown.status_code, shown.text[-900:])
        assert "<script>alert" not in shown.text
        return normalize_text(shown.text)

    async def send(self, path: str, status: int = 200, /, **form: Any) -> str:
        """Send a dialog's form. On success the answer is a notice."""
        sent = await self.visitor.post(path, data=form, headers=ORIGIN | _PART)
        assert sent.status_code == status, (path, sent.status_code, sent.text[-900:])
        assert "<script>alert" not in sent.text
        if status == 200:
            assert sent.headers["HX-Retarget"] == "#notices"
        return normalize_text(sent.text)

    async def confirm(self, path: str, status: int = 200, /, **form: Any) -> str:
        """Send a confirmation with the name that its dialog requests. Without the name nothing happens."""
        (name,) = TO_TYPE.findall(await self.part(path))
        assert "与名称不一致" in await self.send(path, 422, **form)
        return await self.send(path, status, **form, name=name)

    async def next(self, path: str, /, **form: Any) -> str:
        """Send a step's form that leads to the next step."""
        sent = await self.visitor.post(path, data=form, headers=ORIGIN | _PART)
        assert sent.status_code == 200, sent.text[-900:]
        assert "HX-Retarget" not in sent.headers
        assert "<script>alert" not in sent.text
        return normalize_text(sent.text)

    async def prove_key(self, key: SoftKey) -> None:
        """Prove a security key in the session of the console."""
        proof = await answer_challenge(self.visitor, key, "check")
        await self.send("/console/security/check", 204, **proof)

    async def post(self, path: str, **form: Any) -> httpx.Response:
        """Send a page's own form."""
        return await self.visitor.post(path, data=form, headers=ORIGIN)


async def answer_challenge(visitor: httpx.AsyncClient, key: SoftKey, purpose: str) -> dict[str, str]:
    """Return the form fields that the page's script fills in."""
    response = await visitor.post("/console/security/challenges", data={"purpose": purpose}, headers=ORIGIN)
    assert response.status_code == 200, response.text
    answer = (key.create if purpose == "registration" else key.get)(response.json()["options"])
    return {"challenge_id": response.json()["id"], "credential": json.dumps(answer)}


def normalize_text(markup: str) -> str:
    """Return a page's text and addresses with entities resolved and white space collapsed."""
    return re.sub(r"\s+", " ", unescape(markup))


OpenDesk = Callable[[Person], Awaitable[Desk]]
