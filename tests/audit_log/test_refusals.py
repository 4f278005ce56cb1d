"""Refused requests are in the audit, in a bounded number of entries."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit_log.entries import Actor
from app.audit_log.refusals import MAX_CALLERS, MAX_KINDS, REFUSALS, Refusal
from app.auth.clients import create_client
from tests.auth.authenticator import SoftKey, send_registration
from tests.auth.consoles import DESKTOP, DEVICE_GRANT
from tests.auth.operator_accounts import add_operator_account
from tests.people import People, Person, fresh_phone

ReadRefusals = Callable[[], Awaitable[dict[tuple[str, str], dict[str, Any]]]]


@pytest.fixture
async def read_refusals(app: FastAPI, engine: AsyncEngine, db: AsyncConnection) -> ReadRefusals:
    """Return a function that reads the refusals since the start of the test, by route and reason. It adds up the counts
    of several entries."""
    await REFUSALS.get(app).end_interval(engine)
    last = await db.scalar(text("SELECT uuidv7()"))

    async def read() -> dict[tuple[str, str], dict[str, Any]]:
        await REFUSALS.get(app).end_interval(engine)
        since = text("SELECT * FROM audit_entries WHERE action = 'request.refused' AND id > :last ORDER BY id")
        rows = (await db.execute(since, {"last": last})).mappings().all()
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for row in rows:
            first = found.setdefault((row["after"]["operation"], row["after"]["reason"]), dict(row))
            if first["id"] != row["id"]:
                first["after"] |= {"times": first["after"]["times"] + row["after"]["times"]}
        return found

    return read


async def count_entries(db: AsyncConnection) -> int:
    count: int = await db.scalar(text("SELECT count(*) FROM audit_entries WHERE action = 'request.refused'"))
    return count


@pytest.fixture
async def person(people: People) -> Person:
    return await people.register(verified=False, party=False)


async def test_repeated_bad_tokens_are_one_entry_with_their_number(
    api: httpx.AsyncClient, read_refusals: ReadRefusals
) -> None:
    for _ in range(30):
        answer = await api.get("/v1/me", headers={"Authorization": "Bearer not.a.token", "X-Request-Id": "guess"})
        assert answer.status_code == 401
    found = (await read_refusals())[("GET /v1/me", "unauthorized")]
    assert found["after"]["times"] == 30
    assert (found["request_id"], str(found["address"])) == ("guess", "127.0.0.1")
    assert (found["user_id"], found["org_id"]) == (None, None)


async def test_token_endpoint_refusals_are_in_the_audit(
    api: httpx.AsyncClient, engine: AsyncEngine, read_refusals: ReadRefusals
) -> None:
    async with engine.begin() as db:
        service = await create_client(db, Actor(), name="服务", scopes=["point-events:write"])
    credentials = {"grant_type": "client_credentials"}
    await api.post("/oauth/token", data=credentials, auth=(service.client_id, "wrong"))
    guess = {"client_id": DESKTOP, "grant_type": DEVICE_GRANT, "device_code": "guessed"}
    await api.post("/oauth/token", data=guess)
    refreshed = {"client_id": "xuezu-app", "grant_type": "refresh_token", "refresh_token": "guessed"}
    await api.post("/oauth/token", data=refreshed)
    phone = {"client_id": "xuezu-app", "grant_type": "urn:xuezu:params:oauth:grant-type:phone-code"}
    await api.post("/oauth/token", data=phone | {"phone": fresh_phone(), "code": "123456", "handle": "guessed"})
    await api.post("/oauth/token", data=credentials, headers={"Origin": "https://elsewhere.example"})
    found = await read_refusals()
    reasons = {reason: entry["after"]["times"] for (_, reason), entry in found.items()}
    assert reasons == {"invalid_client": 1, "invalid_grant": 3, "invalid_request": 1}
    assert "wrong" not in str(found)
    assert "guessed" not in str(found)


async def test_pending_device_authorization_is_not_a_refusal(
    api: httpx.AsyncClient, read_refusals: ReadRefusals
) -> None:
    started = (await api.post("/oauth/device_authorization", data={"client_id": DESKTOP})).json()
    poll = {"client_id": DESKTOP, "grant_type": DEVICE_GRANT, "device_code": started["device_code"]}
    answers = [(await api.post("/oauth/token", data=poll)).json()["error"] for _ in range(2)]
    assert answers == ["authorization_pending", "slow_down"]
    assert await read_refusals() == {}


async def test_wrong_enrolment_code_is_in_the_audit(app: FastAPI, people: People, read_refusals: ReadRefusals) -> None:
    phone = fresh_phone()
    await add_operator_account(app, phone)
    person = await people.register(phone=phone, verified=False, party=False)
    answer = await send_registration(person, SoftKey(), enrolment_code="guessed" * 6)
    assert answer.status_code == 403
    ((_, reason), entry) = (await read_refusals()).popitem()
    assert reason == answer.json()["type"].removeprefix("/problems/")
    assert str(entry["user_id"]) == person.user_id


async def test_foreign_origin_request_is_in_the_audit(person: Person, read_refusals: ReadRefusals) -> None:
    answer = await person.post("/v1/scans", json={"code": "BCDF-GHJK"}, headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 403
    assert [reason for _, reason in await read_refusals()] == ["foreign-origin"]


async def test_refused_request_for_another_org_is_in_the_audit(
    people: People, person: Person, read_refusals: ReadRefusals
) -> None:
    org = await (await people.register()).create_org()
    for _ in range(3):
        assert (await person.get(f"/v1/orgs/{org['id']}/members")).status_code == 404
    entry = (await read_refusals())[("GET /v1/orgs/{org_id}/members", "not-found")]
    assert (str(entry["user_id"]), entry["after"]["times"]) == (person.user_id, 3)


async def test_unknown_file_or_address_is_not_a_refusal(api: httpx.AsyncClient, read_refusals: ReadRefusals) -> None:
    for nowhere in ("/static-offline-docs/none.js", "/nowhere"):
        assert (await api.get(nowhere)).status_code == 404
    assert await read_refusals() == {}


async def test_refusals_of_more_kinds_than_the_limit_share_one_entry(app: FastAPI, read_refusals: ReadRefusals) -> None:
    for number in range(MAX_KINDS + 100):
        REFUSALS.get(app).count(Refusal("list_members", f"reason-{number}"), None)
    found = await read_refusals()
    assert len(found) == MAX_KINDS + 1
    assert found[("other", "other")]["after"]["times"] == 100


async def test_refusals_of_more_callers_than_the_limit_share_one_entry(
    app: FastAPI, engine: AsyncEngine, read_refusals: ReadRefusals, db: AsyncConnection
) -> None:
    for number in range(200):
        refusal = Refusal(
            "GET /v1/me", "unauthorized", network=f"192.31.{number}.0/24"
        )  # no other test calls from there
        REFUSALS.get(app).count(refusal, None)
    before = await count_entries(db)
    await REFUSALS.get(app).write(engine)
    added = await count_entries(db) - before
    assert added == MAX_CALLERS + 1
    assert (await read_refusals())[("GET /v1/me", "unauthorized")]["after"]["times"] == 200
    networks = "SELECT count(DISTINCT address) FROM audit_entries WHERE host(address) LIKE '192.31.%'"
    assert await db.scalar(text(networks)) == MAX_CALLERS


async def test_refusals_of_one_kind_make_at_most_two_entries_in_an_interval(
    app: FastAPI, engine: AsyncEngine, read_refusals: ReadRefusals, db: AsyncConnection
) -> None:
    before = await count_entries(db)
    for _ in range(50):
        REFUSALS.get(app).count(Refusal("GET /v1/me", "unauthorized"), None)
        await REFUSALS.get(app).write(engine)
    assert await count_entries(db) - before == 1
    assert (await read_refusals())[("GET /v1/me", "unauthorized")]["after"]["times"] == 50
    assert await count_entries(db) - before == 2


async def test_refusals_are_counted_in_the_metric(app: FastAPI, api: httpx.AsyncClient) -> None:
    total = REFUSALS.get(app).total
    labels = ("GET /v1/orgs/{org_id}/members", "unauthorized")
    before = total.read_numbers().get(labels, 0)
    for _ in range(3):
        await api.get(f"/v1/orgs/{uuid4()}/members")
    await api.get("/livez")
    assert (total.name, total.labels) == ("xuezu_refusals_total", ("route", "reason"))
    assert total.read_numbers()[labels] == before + 3


async def test_metric_labels_contain_no_value_of_a_request(app: FastAPI, api: httpx.AsyncClient) -> None:
    for guess in ("guess-1", "guess-2"):
        await api.get(f"/v1/orgs/{guess}/members")
        await api.get(f"/nowhere/{guess}")
        await api.get("/v1/me", headers={"Authorization": f"Bearer {guess}"})
    routes = {route for route, _ in REFUSALS.get(app).total.read_numbers()}
    assert not [route for route in routes if "guess" in route or "nowhere" in route]


async def test_refusals_that_cannot_be_written_remain_counted(
    app: FastAPI, engine: AsyncEngine, read_refusals: ReadRefusals
) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    REFUSALS.get(app).count(Refusal("list_members", "lost"), "first")
    nowhere = create_async_engine("postgresql+asyncpg://nobody@127.0.0.1:1/none")
    await REFUSALS.get(app).write(nowhere)
    REFUSALS.get(app).count(Refusal("list_members", "lost"), "second")
    entry = (await read_refusals())[("list_members", "lost")]
    assert (entry["after"]["times"], entry["request_id"]) == (2, "first")
