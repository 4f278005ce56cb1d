"""People for the tests: registered, verified and signed in.

Over HTTP a person needs seven requests. `People.register` writes the same rows with the service's own functions in one
transaction. `register_over_http` is for tests of sign-in, and for a service in another process.
"""

import asyncio
import base64
import io
import itertools
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import httpx
from fastapi import FastAPI
from PIL import Image

from app.audit_log.entries import Actor
from app.auth.accounts.accounts import declare_party_member
from app.auth.accounts.registration import find_or_register_user
from app.auth.oauth.protocol import get_public_client
from app.auth.sessions import start_session
from app.auth.verification.schemas import VerificationCreate
from app.auth.verification.verifications import begin_verification, complete_attempt
from app.authz.access import UserScope
from app.authz.tokens import ISSUER
from app.core.cipher import CIPHER
from app.database.db import ENGINE
from app.identity.provider import Outcome, Result
from tests.phone_codes import request_code

_SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰"
_serial = itertools.count(random.randrange(10_000_000, 80_000_000))


def fresh_phone() -> str:
    """A mobile number that no other test of this database uses."""
    return f"139{next(_serial):08d}"


def fresh_name() -> str:
    return random.choice(_SURNAMES) + "".join(random.sample(_GIVEN, 2))


def fresh_id_card_number() -> str:
    """Return a resident ID number with a correct checksum (GB 11643) that no other person of this database has."""
    days, sequence = divmod(next(_serial), 1000)
    body = f"110101{1950 + days // 336 % 50}{days // 28 % 12 + 1:02d}{days % 28 + 1:02d}{sequence:03d}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    check = sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True)) % 11
    return body + "10X98765432"[check]


@dataclass
class Person:
    """A registered user with a signed-in HTTP client."""

    phone: str
    name: str
    user_id: str
    api: httpx.AsyncClient
    token: str
    refresh_token: str = field(repr=False, default="")

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = self.headers | options.pop("headers", {})
        return await self.api.request(method, path, headers=headers, **options)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("POST", path, **options)

    async def put(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("PUT", path, **options)

    async def patch(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("PATCH", path, **options)

    async def delete(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("DELETE", path, **options)

    async def refresh(self) -> None:
        """Get new tokens for this session."""
        form = {"grant_type": "refresh_token", "client_id": "xuezu-app", "refresh_token": self.refresh_token}
        granted = await self.api.post("/oauth/token", data=form)
        assert granted.status_code == 200, granted.text
        self.token, self.refresh_token = granted.json()["access_token"], granted.json()["refresh_token"]

    async def create_org(self, **body: Any) -> dict[str, Any]:
        """Create an org of this person, by default with a unique name."""
        created = await self.post("/v1/orgs", json={"name": fresh_org_name(), "region_code": "320102"} | body)
        assert created.status_code == 201, created.text
        org: dict[str, Any] = created.json()
        return org


def fresh_org_name() -> str:
    return f"中共测试县{next(_serial)}委员会"


@asynccontextmanager
async def refresh_tokens_in_background(persons: Sequence[Person]) -> AsyncIterator[None]:
    """Refresh the persons' tokens every four minutes until the block ends. The block takes longer than an access token
    is valid."""

    async def refresh() -> None:
        while True:
            await asyncio.sleep(240)
            for person in persons:
                await person.refresh()

    task = asyncio.create_task(refresh())
    try:
        yield
    finally:
        task.cancel()


def name_person(name: str, id_number: str | None = None, method: str = "alipay") -> dict[str, str]:
    """Return the body by which a person begins to prove a name, with a new ID number if none is given; with pictures
    for an ID card."""
    fields = {"method": method, "name": name, "id_number": id_number or fresh_id_card_number()}
    return fields | ({"front": PICTURE, "back": PICTURE} if method == "id-card" else {})


def draw_picture(width: int = 320, height: int = 200, kind: str = "PNG", **options: Any) -> bytes:
    """Return a picture of one colour as a file."""
    written = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 200)).save(written, kind, **options)
    return written.getvalue()


PICTURE = base64.b64encode(draw_picture()).decode()
"""A small picture, as a body has it."""


async def open_alipay(api: httpx.AsyncClient, redirect_url: str) -> str:
    """Open the address that begins an attempt. Return the address of the simulated Alipay's page."""
    onward = await api.get(redirect_url)
    assert onward.status_code == 303, onward.text
    return str(onward.headers["location"])


async def consent_at_alipay(api: httpx.AsyncClient, redirect_url: str, *, consents: bool = True) -> str:
    """Open the address that begins an attempt, and consent or decline. Return the address of the page."""
    page = await open_alipay(api, redirect_url)
    answer = await api.post(page, json={"consents": consents})
    assert answer.status_code < 400, answer.text
    return page


class People:
    """Creates registered people. `app` is the service in this process; if it is None, people register over HTTP."""

    def __init__(self, api: httpx.AsyncClient, app: FastAPI | None = None) -> None:
        self.api = api
        self._app = app

    async def register(
        self, *, phone: str | None = None, name: str | None = None, verified: bool = True, party: bool = True
    ) -> Person:
        """Create a signed-in user, by default verified and a party member."""
        if self._app is None:
            return await self.register_over_http(phone=phone, name=name, verified=verified, party=party)
        phone, name = phone or fresh_phone(), name or fresh_name()
        cipher, actor = CIPHER.get(self._app), Actor(client_id="xuezu-app", address="127.0.0.1")
        async with ENGINE.get(self._app).begin() as db:
            client = await get_public_client(db, "xuezu-app")
            user_id = (await find_or_register_user(db, cipher, actor, phone)).id
            actor = replace(actor, user_id=user_id)
            issuer = ISSUER.get(self._app)
            tokens = await start_session(db, issuer, actor, client, user_id, methods=["sms"], device=None)
            assert tokens.refresh_token is not None
            scope = UserScope(user_id, uuid4(), client.id, ("sms",), None, False, actor)
            if verified:
                given = VerificationCreate.model_validate(name_person(name))
                begun = await begin_verification(db, cipher, scope, given)
                await complete_attempt(db, cipher, actor, begun.verification.id, Result(Outcome.PASSED))
            if party:
                await declare_party_member(db, scope, True)
        return Person(phone, name, str(user_id), self.api, tokens.access_token, tokens.refresh_token)

    async def register_over_http(
        self, *, phone: str | None = None, name: str | None = None, verified: bool = True, party: bool = True
    ) -> Person:
        """Create a signed-in user over HTTP: sign in with a phone code, and verify with the simulated Alipay."""
        phone, name = phone or fresh_phone(), name or fresh_name()
        grant = {"grant_type": "urn:xuezu:params:oauth:grant-type:phone-code", "client_id": "xuezu-app"}
        granted = await self.api.post("/oauth/token", data=grant | await request_code(self.api, phone))
        assert granted.status_code == 200, granted.text
        tokens = granted.json()
        person = Person(phone, name, "", self.api, tokens["access_token"], tokens["refresh_token"])
        person.user_id = (await person.get("/v1/me")).json()["id"]
        if verified:
            await self.verify(person)
        if party:
            declared = await person.patch("/v1/me", json={"party_member": True})
            assert declared.status_code == 200, declared.text
        return person

    async def verify(self, person: Person, id_number: str | None = None) -> None:
        """Verify the person's real name with the simulated Alipay (S1)."""
        begun = await person.post("/v1/me/verifications", json=name_person(person.name, id_number))
        assert begun.status_code == 201, begun.text
        await consent_at_alipay(self.api, begun.json()["redirect_url"])
