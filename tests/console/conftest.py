"""Fixtures for pages: over ASGI where no browser is needed, otherwise over a real socket in Chromium."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import httpx
import pytest
from fastapi import FastAPI
from playwright.async_api import Browser

from tests.browser import Screen, screen
from tests.people import Person
from tests.phone_codes import find_handles

if TYPE_CHECKING:
    from tests.console.desk import Desk

ORIGIN = {"Origin": "http://localhost:8000"}


OpenScreen = Callable[..., AbstractAsyncContextManager[Screen]]


@pytest.fixture
def open_screen(browser: Browser, live: str) -> OpenScreen:
    return partial(screen, browser, live)


@pytest.fixture
async def visitor(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a browser without scripts: it stores cookies and follows no redirect."""
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 50001))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
        yield client


async def sign_in_to_console(visitor: httpx.AsyncClient, person: Person) -> None:
    """Sign a visitor in to the console as this person, who scans the code with the app."""
    shown = await visitor.get("/console/")
    code = re.search(r'data-stream="/console/sign-in/([A-Z-]+)/events"', shown.text)
    assert code is not None
    scanned = await person.post("/v1/scans", json={"code": code[1]})
    assert scanned.status_code == 201, scanned.text
    card = await visitor.get(f"/console/sign-in/{code[1]}")
    number = re.search(r'class="match">(\d\d)<', card.text)
    assert number is not None, card.text
    approved = await person.put(f"/v1/scans/{scanned.json()['id']}/approval", json={"number": int(number[1])})
    assert approved.status_code == 200, approved.text
    origin = {"Origin": str(visitor.base_url).rstrip("/")}
    entered = await visitor.post(f"/console/sign-in/{code[1]}", headers=origin)
    assert entered.status_code == 204, entered.text


async def sign_in_to_phone(phone: httpx.AsyncClient, person: Person) -> None:
    """Sign the simulated phone in as this person."""
    origin = {"Origin": str(phone.base_url).rstrip("/")}

    async def arrived() -> list[str]:
        outbox = await person.api.get("/v1/simulator/sms", params={"phone": person.phone})
        return [message["code"] for message in outbox.json()["items"]]

    before = await arrived()
    sent = await phone.post("/phone/codes", data={"phone": person.phone}, headers=origin)
    assert sent.status_code == 200, sent.text
    for _ in range(500):
        codes = await arrived()
        if codes != before:
            break
        await asyncio.sleep(0.02)
    form = {"phone": person.phone, "code": codes[0]} | find_handles(sent.text)
    assert (await phone.post("/phone/session", data=form, headers=origin)).status_code == 303


SignIn = Callable[[Screen, Person], Awaitable[None]]


@pytest.fixture
def signed_in(live: str) -> SignIn:
    """Return a function that gives a browser a person's session, signed in by scan over HTTP."""

    async def sign_in(shown: Screen, person: Person) -> None:
        async with httpx.AsyncClient(base_url=live) as visitor:
            await sign_in_to_console(visitor, person)
            value = visitor.cookies["xuezu-console"]
        await shown.context.add_cookies([{"name": "xuezu-console", "value": value, "url": live}])

    return sign_in


@pytest.fixture
async def open_desk(app: FastAPI) -> AsyncIterator[Callable[[Person], Awaitable["Desk"]]]:
    """Yield a function that signs a person in and returns their Desk."""
    from tests.console.desk import Desk

    async with AsyncExitStack() as stack:

        async def open_for(person: Person) -> "Desk":
            desk = await Desk.sign_in(app, person)
            stack.push_async_callback(desk.visitor.aclose)
            return desk

        yield open_for


@pytest.fixture
def signed_in_phone(live: str) -> SignIn:
    """Return a function that gives a browser's phone simulator a person's session, signed in by phone code."""

    async def sign_in(shown: Screen, person: Person) -> None:
        async with httpx.AsyncClient(base_url=live) as carrier:
            await sign_in_to_phone(carrier, person)
            value = carrier.cookies["xuezu-phone"]
        await shown.context.add_cookies([{"name": "xuezu-phone", "value": value, "url": live}])

    return sign_in
