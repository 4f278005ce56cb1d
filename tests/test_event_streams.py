"""The events of each stream, read from a real connection, are those that the OpenAPI document declares."""

import json
from collections.abc import AsyncIterator

import httpx
import jsonschema_rs
import pytest
from fastapi import FastAPI

from tests.auth.consoles import Console, approve, scan
from tests.auth.live_server import serve_app
from tests.members.sheets import Work, upload, xlsx
from tests.people import People, Person, fresh_name, fresh_phone

SIGN_IN = "/v1/device-authorizations/{user_code}/events"
IMPORT = "/v1/orgs/{org_id}/imports/{import_id}/progress"
Event = dict[str, str]


@pytest.fixture(scope="module")
async def live(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with serve_app(app) as url, httpx.AsyncClient(base_url=url, timeout=20) as client:
        yield client


@pytest.fixture
async def admin(people: People) -> Person:
    return await people.register()


async def read_events(client: httpx.AsyncClient, path: str, person: Person | None = None) -> AsyncIterator[Event]:
    """Yield the fields of each event of a stream (WHATWG HTML, section 9.2.6), without comments."""
    headers = {} if person is None else {"Authorization": f"Bearer {person.token}"}
    async with client.stream("GET", path, headers=headers) as stream:
        assert (stream.status_code, stream.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        event: Event = {}
        async for line in stream.aiter_lines():
            field, _, value = line.partition(":")
            if line == "" and event:
                yield event
                event = {}
            elif field:
                event[field] = "\n".join([*([event[field]] if field in event else []), value.removeprefix(" ")])


def check_events(app: FastAPI, path: str, events: list[Event]) -> list[str]:
    """Compare events with the schema of the stream and return their names. JSON Schema itself ignores both
    `contentSchema` and properties that are not declared."""
    document = app.openapi()
    stream = document["paths"][path]["get"]["responses"]["200"]["content"]["text/event-stream"]["schema"]
    fields = stream["contentSchema"]["items"]["properties"]
    data = fields["data"]["contentSchema"]
    for schema, value in (
        (stream["contentSchema"], events),
        *((data, json.loads(event["data"])) for event in events),
    ):
        jsonschema_rs.validate(schema | {"components": document["components"]}, value, validate_formats=True)
    declared = document["components"]["schemas"][data["$ref"].rpartition("/")[2]]["properties"]
    for event in events:
        assert event.keys() <= fields.keys()
        assert json.loads(event["data"]).keys() <= declared.keys()
    return [event["event"] for event in events]


async def open_ticket(live: httpx.AsyncClient, console: Console) -> str:
    """Exchange the console's secret for its cookie and return the path of the stream."""
    path = SIGN_IN.format(user_code=console.user_code)
    ticket = await live.put(path.replace("/events", "/ticket"), json={"device_code": console.device_code})
    assert ticket.status_code == 204
    return path


def test_every_stream_of_the_document_is_compared(app: FastAPI) -> None:
    streams = {
        path
        for path, methods in app.openapi()["paths"].items()
        if "text/event-stream" in methods.get("get", {"responses": {}})["responses"].get("200", {}).get("content", {})
    }
    assert streams == {SIGN_IN, IMPORT}


async def test_events_of_an_approved_and_of_a_refused_sign_in_are_as_declared(
    app: FastAPI, live: httpx.AsyncClient, admin: Person
) -> None:
    approved, refused = await Console.request(admin.api), await Console.request(admin.api)
    path = await open_ticket(live, approved)
    stream = read_events(live, path)
    events = [await anext(stream)]
    found = await scan(admin, approved)
    events.append(await anext(stream))
    await approve(admin, found["id"], approved.proof)
    events += [event async for event in stream]
    assert check_events(app, SIGN_IN, events) == ["pending", "scanned", "approved"]
    assert (await approved.poll()).status_code == 200
    assert check_events(app, SIGN_IN, [event async for event in read_events(live, path)]) == ["redeemed"]
    found = await scan(admin, refused)
    await admin.put(f"/v1/scans/{found['id']}/refusal")
    events = [event async for event in read_events(live, await open_ticket(live, refused))]
    assert check_events(app, SIGN_IN, events) == ["refused"]


async def test_events_of_an_import_are_as_declared(
    app: FastAPI, live: httpx.AsyncClient, admin: Person, worker: Work
) -> None:
    org_id = (await admin.create_org())["id"]
    sheet = xlsx([(fresh_name(), fresh_phone(), "第一支部"), (fresh_name(), "1380013", "第一支部")])
    uploaded = await upload(admin, org_id, sheet, unknown_units="create")
    stream = read_events(live, IMPORT.format(org_id=org_id, import_id=uploaded.json()["id"]), admin)
    events = [await anext(stream)]
    await worker()
    events += [event async for event in stream]
    assert set(check_events(app, IMPORT, events)) == {"progress"}
    states = [json.loads(event["data"])["state"] for event in events]
    assert (states[0], states[-1]) == ("uploaded", "ready")


async def test_event_that_is_not_declared_fails_the_comparison(app: FastAPI) -> None:
    good = {"event": "scanned", "data": '{"state": "scanned"}'}
    assert check_events(app, SIGN_IN, [good]) == ["scanned"]
    for bad in (
        good | {"event": "progress"},
        good | {"data": '{"state": "seen"}'},
        good | {"data": '{"state": "scanned", "number": 42}'},
        good | {"id": "1"},
    ):
        with pytest.raises((jsonschema_rs.ValidationError, AssertionError)):
            check_events(app, SIGN_IN, [bad])
