"""The console's event stream: a ticket opens it, each step arrives immediately, and the last step ends it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import QueuePool

from app.database.db import ENGINE
from tests.auth.consoles import Console, approve, scan
from tests.auth.live_server import serve_app
from tests.people import People, Person


@pytest.fixture(scope="module")
async def live(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Yield an HTTP client that calls the app over a socket and stores cookies as a browser does."""
    async with serve_app(app) as url, httpx.AsyncClient(base_url=url, timeout=20) as client:
        yield client


@pytest.fixture
async def person(people: People) -> Person:
    return await people.register(verified=False, party=False)


async def open_ticket(live: httpx.AsyncClient, console: Console) -> str:
    """Exchange the console's secret for the cookie. Return the path of the authorization."""
    path = f"/v1/device-authorizations/{console.user_code}"
    opened = await live.put(f"{path}/ticket", json={"device_code": console.device_code})
    assert opened.status_code == 204, opened.text
    cookie = opened.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert f"Path={path}" in cookie
    return path


async def stream_events(live: httpx.AsyncClient, path: str) -> AsyncIterator[dict[str, Any]]:
    async with live.stream("GET", f"{path}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-store"
        async for line in stream.aiter_lines():
            if line.startswith("data:"):
                yield json.loads(line.removeprefix("data:"))


async def test_each_step_arrives_within_a_second(live: httpx.AsyncClient, person: Person) -> None:
    console = await Console.request(person.api)
    stream = stream_events(live, await open_ticket(live, console))
    assert await anext(stream) == {"state": "pending"}
    scanned = await scan(person, console)
    assert await asyncio.wait_for(anext(stream), 1) == {"state": "scanned"}
    began = time.perf_counter()
    assert (await approve(person, scanned["id"], console.proof)).status_code == 200
    assert await asyncio.wait_for(anext(stream), 1) == {"state": "approved"}
    assert time.perf_counter() - began < 1
    assert [event async for event in stream] == []
    assert (await console.poll()).status_code == 200


async def test_refusal_arrives_and_ends_the_stream(live: httpx.AsyncClient, person: Person) -> None:
    console = await Console.request(person.api)
    scanned = await scan(person, console)
    stream = stream_events(live, await open_ticket(live, console))
    assert (await anext(stream))["state"] == "scanned"
    await person.put(f"/v1/scans/{scanned['id']}/refusal")
    assert [event["state"] async for event in stream] == ["refused"]


async def test_expiry_arrives_and_ends_the_stream(live: httpx.AsyncClient, person: Person, db: AsyncConnection) -> None:
    console = await Console.request(person.api)
    path = await open_ticket(live, console)
    await db.execute(
        text("UPDATE device_authorizations SET expires_at = now() + interval '1 second' WHERE user_code = :code"),
        {"code": console.user_code},
    )
    assert [event["state"] async for event in stream_events(live, path)] == ["pending", "expired"]
    assert [event["state"] async for event in stream_events(live, path)] == ["expired"]


async def test_step_arrives_after_a_lost_listen_connection(
    app: FastAPI, live: httpx.AsyncClient, person: Person
) -> None:
    """The database ends the LISTEN connection. A step that happens before the next connection is read from the
    database."""
    console = await Console.request(person.api)
    stream = stream_events(live, await open_ticket(live, console))
    assert (await anext(stream))["state"] == "pending"
    async with ENGINE.get(app).begin() as db:
        ended = await db.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE (query LIKE 'LISTEN %' OR query = 'SELECT 1') AND datname = current_database()"
            )
        )
        assert ended.all()
    await scan(person, console)
    assert (await asyncio.wait_for(anext(stream), 5))["state"] == "scanned"
    await stream.aclose()  # type: ignore[attr-defined]  # an async generator


async def test_state_without_the_ticket_is_404(live: httpx.AsyncClient, person: Person) -> None:
    console, other = await Console.request(person.api), await Console.request(person.api)
    path = await open_ticket(live, console)
    assert (await live.get(path)).json()["state"] == "pending"
    live.cookies.clear()
    for address in (path, f"{path}/events"):
        assert (await live.get(address)).status_code == 404
        assert (await live.get(address, headers={"Cookie": f"xuezu_ticket={console.user_code}"})).status_code == 404
        assert (await live.get(address, headers={"Cookie": f"xuezu_ticket={console.device_code}"})).status_code == 404
    wrong = await live.put(f"{path}/ticket", json={"device_code": other.device_code})
    assert wrong.status_code == 404


async def test_waiting_stream_uses_no_pooled_connection(app: FastAPI, live: httpx.AsyncClient, people: People) -> None:
    """The number of waiting consoles exceeds the number of pooled connections."""
    consoles = [await Console.request(people.api) for _ in range(40)]
    streams = [stream_events(live, await open_ticket(live, console)) for console in consoles]
    firsts = await asyncio.gather(*(anext(stream) for stream in streams))
    assert {first["state"] for first in firsts} == {"pending"}
    pool = ENGINE.get(app).pool
    assert isinstance(pool, QueuePool)
    assert pool.checkedout() == 0
    for stream in streams:
        await stream.aclose()  # type: ignore[attr-defined]  # an async generator
