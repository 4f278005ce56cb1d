"""What is refused to nobody in particular is kept in the audit all the same, however often it was tried."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit_log.entries import Actor
from app.audit_log.refusals import CALLERS, KINDS, REFUSALS, Refusal
from app.auth.clients import create_client
from tests.auth.authenticator import SoftKey, send_registration
from tests.auth.consoles import DEVICE_GRANT
from tests.auth.operator_accounts import enrol
from tests.people import People, Person, fresh_phone

Kept = Callable[[], Awaitable[dict[tuple[str, str], dict[str, Any]]]]


@pytest.fixture
async def kept(app: FastAPI, engine: AsyncEngine, db: AsyncConnection) -> Kept:
    """What has been refused since the test began, by route and reason; what the service wrote meanwhile is added up."""
    await REFUSALS.of(app).end_interval(engine)
    last = await db.scalar(text("SELECT uuidv7()"))

    async def read() -> dict[tuple[str, str], dict[str, Any]]:
        await REFUSALS.of(app).end_interval(engine)
        since = text("SELECT * FROM audit_entries WHERE action = 'request.refused' AND id > :last ORDER BY id")
        rows = (await db.execute(since, {"last": last})).mappings().all()
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for row in rows:
            first = found.setdefault((row["after"]["operation"], row["after"]["reason"]), dict(row))
            if first["id"] != row["id"]:
                first["after"] |= {"times": first["after"]["times"] + row["after"]["times"]}
        return found

    return read


async def entries(db: AsyncConnection) -> int:
    counted: int = await db.scalar(text("SELECT count(*) FROM audit_entries WHERE action = 'request.refused'"))
    return counted


@pytest.fixture
async def person(people: People) -> Person:
    return await people.register(verified=False, party=False)


async def test_bad_tokens_are_kept_as_one_entry_with_their_number(api: httpx.AsyncClient, kept: Kept) -> None:
    for _ in range(30):
        answer = await api.get("/v1/me", headers={"Authorization": "Bearer not.a.token", "X-Request-Id": "guess"})
        assert answer.status_code == 401
    found = (await kept())[("GET /v1/me", "unauthorized")]
    assert found["after"]["times"] == 30
    assert (found["request_id"], str(found["address"])) == ("guess", "127.0.0.1")
    assert (found["user_id"], found["org_id"]) == (None, None)


async def test_what_the_token_endpoint_refuses_is_kept(api: httpx.AsyncClient, engine: AsyncEngine, kept: Kept) -> None:
    async with engine.begin() as db:
        service = await create_client(db, Actor(), name="服务", scopes=["point-events:write"])
    credentials = {"grant_type": "client_credentials"}
    await api.post("/oauth/token", data=credentials, auth=(service.client_id, "wrong"))
    guess = {"client_id": "xuezu-console", "grant_type": DEVICE_GRANT, "device_code": "guessed"}
    await api.post("/oauth/token", data=guess)
    refreshed = {"client_id": "xuezu-app", "grant_type": "refresh_token", "refresh_token": "guessed"}
    await api.post("/oauth/token", data=refreshed)
    phone = {"client_id": "xuezu-app", "grant_type": "urn:xuezu:params:oauth:grant-type:phone-code"}
    await api.post("/oauth/token", data=phone | {"phone": fresh_phone(), "code": "123456"})
    await api.post("/oauth/token", data=credentials, headers={"Origin": "https://elsewhere.example"})
    found = await kept()
    reasons = {reason: found[one]["after"]["times"] for one in found for _, reason in [one]}
    assert reasons == {"invalid_client": 1, "invalid_grant": 3, "invalid_request": 1}
    assert "wrong" not in str(found)
    assert "guessed" not in str(found)


async def test_waiting_for_a_scan_is_no_refusal(api: httpx.AsyncClient, kept: Kept) -> None:
    asked = (await api.post("/oauth/device_authorization", data={"client_id": "xuezu-console"})).json()
    poll = {"client_id": "xuezu-console", "grant_type": DEVICE_GRANT, "device_code": asked["device_code"]}
    answers = [(await api.post("/oauth/token", data=poll)).json()["error"] for _ in range(2)]
    assert answers == ["authorization_pending", "slow_down"]
    assert await kept() == {}


async def test_a_wrong_enrolment_code_is_kept(app: FastAPI, people: People, kept: Kept) -> None:
    phone = fresh_phone()
    await enrol(app, phone)
    person = await people.register(phone=phone, verified=False, party=False)
    answer = await send_registration(person, SoftKey(), enrolment_code="guessed" * 6)
    assert answer.status_code == 403
    ((_, reason), entry) = (await kept()).popitem()
    assert reason == answer.json()["type"].removeprefix("/problems/")
    assert str(entry["user_id"]) == person.user_id


async def test_another_sites_request_is_kept(person: Person, kept: Kept) -> None:
    answer = await person.post("/v1/scans", json={"code": "BCDF-GHJK"}, headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 403
    assert [reason for _, reason in await kept()] == ["foreign-origin"]


async def test_who_looks_at_what_is_not_theirs_is_kept(people: People, person: Person, kept: Kept) -> None:
    org = await (await people.register()).create_org()
    for _ in range(3):
        assert (await person.get(f"/v1/orgs/{org['id']}/members")).status_code == 404
    entry = (await kept())[("GET /v1/orgs/{org_id}/members", "not-found")]
    assert (str(entry["user_id"]), entry["after"]["times"]) == (person.user_id, 3)


async def test_a_file_or_an_address_that_is_not_there_is_no_refusal(api: httpx.AsyncClient, kept: Kept) -> None:
    for nowhere in ("/static-offline-docs/none.js", "/nowhere"):
        assert (await api.get(nowhere)).status_code == 404
    assert await kept() == {}


async def test_a_flood_of_kinds_is_bounded(app: FastAPI, kept: Kept) -> None:
    for number in range(KINDS + 100):
        REFUSALS.of(app).count(Refusal("list_members", f"reason-{number}"), None)
    found = await kept()
    assert len(found) == KINDS + 1
    assert found[("other", "other")]["after"]["times"] == 100


async def test_a_flood_of_callers_names_a_few_and_counts_all(
    app: FastAPI, engine: AsyncEngine, kept: Kept, db: AsyncConnection
) -> None:
    for number in range(200):
        refusal = Refusal("GET /v1/me", "unauthorized", network=f"198.51.{number}.0/24")
        REFUSALS.of(app).count(refusal, None)
    before = await entries(db)
    await REFUSALS.of(app).write(engine)
    added = await entries(db) - before
    assert added == CALLERS + 1
    assert (await kept())[("GET /v1/me", "unauthorized")]["after"]["times"] == 200
    networks = "SELECT count(DISTINCT address) FROM audit_entries WHERE host(address) LIKE '198.51.%'"
    assert await db.scalar(text(networks)) == CALLERS


async def test_a_kind_has_two_entries_in_an_interval_however_long_it_goes_on(
    app: FastAPI, engine: AsyncEngine, kept: Kept, db: AsyncConnection
) -> None:
    before = await entries(db)
    for _ in range(50):
        REFUSALS.of(app).count(Refusal("GET /v1/me", "unauthorized"), None)
        await REFUSALS.of(app).write(engine)
    assert await entries(db) - before == 1
    assert (await kept())[("GET /v1/me", "unauthorized")]["after"]["times"] == 50
    assert await entries(db) - before == 2


async def test_every_refusal_is_in_the_metric(app: FastAPI, api: httpx.AsyncClient) -> None:
    total = REFUSALS.of(app).total
    labels = ("GET /v1/orgs/{org_id}/members", "unauthorized")
    before = total.snapshot().get(labels, 0)
    for _ in range(3):
        await api.get(f"/v1/orgs/{uuid4()}/members")
    await api.get("/livez")
    assert (total.name, total.labels) == ("refusals_total", ("route", "reason"))
    assert total.snapshot()[labels] == before + 3


async def test_labels_of_the_metric_come_from_closed_sets(app: FastAPI, api: httpx.AsyncClient) -> None:
    for guess in ("guess-1", "guess-2"):
        await api.get(f"/v1/orgs/{guess}/members")
        await api.get(f"/nowhere/{guess}")
        await api.get("/v1/me", headers={"Authorization": f"Bearer {guess}"})
    routes = {route for route, _ in REFUSALS.of(app).total.snapshot()}
    assert not [route for route in routes if "guess" in route or "nowhere" in route]


async def test_what_cannot_be_written_stays_counted(app: FastAPI, engine: AsyncEngine, kept: Kept) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    REFUSALS.of(app).count(Refusal("list_members", "lost"), "first")
    nowhere = create_async_engine("postgresql+asyncpg://nobody@127.0.0.1:1/none")
    await REFUSALS.of(app).write(nowhere)
    REFUSALS.of(app).count(Refusal("list_members", "lost"), "second")
    entry = (await kept())[("list_members", "lost")]
    assert (entry["after"]["times"], entry["request_id"]) == (2, "first")
