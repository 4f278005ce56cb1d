"""Traces, as a collector receives them."""

import secrets
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from structlog.typing import EventDict

from app.core.logs import TRACE_ID, build_processors
from app.core.settings import CannotStart, Settings
from app.main import create_app
from app.tracing import spans as tracing
from app.worker.worker import run_worker
from tests.people import People, Person, fresh_id_card_number, fresh_name, fresh_phone
from tests.processes import find_free_port
from tests.tracing.collector import Collector, attributes, run_collector


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        with run_collector() as running:
            yield running


@pytest.fixture(scope="module")
def traced(settings: Settings, collector: Collector) -> Settings:
    return settings.model_copy(update={"otlp_url": collector.url, "trace_share": 0.0})


@pytest.fixture(scope="module")
async def app(traced: Settings) -> AsyncIterator[FastAPI]:
    application = create_app(traced)
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture(scope="module")
async def api(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 50000))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
        yield client


@pytest.fixture(scope="module")
def people(api: httpx.AsyncClient, app: FastAPI) -> People:
    return People(api, app)


@pytest.fixture(scope="module")
async def admin(people: People) -> Person:
    return await people.register()


def new_trace() -> tuple[str, dict[str, str]]:
    """Return the id of a new trace, and the headers of a request in it that its caller records."""
    trace_id = secrets.token_hex(16)
    return trace_id, {"traceparent": f"00-{trace_id}-00000000000000aa-01"}


async def test_request_has_a_span_below_its_caller_and_one_below_it_for_each_statement(
    collector: Collector, admin: Person
) -> None:
    """Both paths of a read: `read_org` is fast, the list of members is not."""
    org = await admin.create_org()
    for path, table in ((f"/v1/orgs/{org['id']}", "certifications"), (f"/v1/orgs/{org['id']}/members", "members")):
        trace_id, headers = new_trace()
        assert (await admin.get(path, headers=headers)).status_code == 200
        name = "GET " + path.replace(org["id"], "{org_id}")
        found = collector.wait_for(trace_id, name)
        request = next(span for span in found if span.name == name)
        below = [span for span in found if span is not request]
        assert request.parent_span_id.hex() == "00000000000000aa"
        assert request.kind == Span.SPAN_KIND_SERVER
        assert attributes(request) == {
            "http.request.method": "GET",
            "http.route": name.removeprefix("GET "),
            "http.response.status_code": 200,
        }
        assert {span.parent_span_id for span in below} == {request.span_id}
        assert any(table in span.name.split() for span in below), [span.name for span in below]
        for span in below:
            assert attributes(span)["db.system.name"] == "postgresql"
            assert attributes(span)["db.query.summary"] == span.name
            assert "db.query.text" not in attributes(span)
            assert span.start_time_unix_nano < span.end_time_unix_nano


async def test_write_shows_its_statements_once_and_its_transaction(collector: Collector, admin: Person) -> None:
    org = await admin.create_org()
    trace_id, headers = new_trace()
    created = await admin.post(f"/v1/orgs/{org['id']}/units", json={"name": "第一党支部"}, headers=headers)
    assert created.status_code == 201
    names = [span.name for span in collector.wait_for(trace_id, "POST /v1/orgs/{org_id}/units")]
    assert names.count("INSERT units") == 1
    assert [name for name in names if name in {"BEGIN", "COMMIT"}] == ["BEGIN", "COMMIT"]


async def test_request_without_a_decision_of_its_caller_is_traced_by_the_share(
    collector: Collector, settings: Settings, app: FastAPI, api: httpx.AsyncClient
) -> None:
    """The share is 0 here: such requests have ids and no span, and so have those whose caller does not record."""
    before = len(collector.spans)
    unsampled = f"00-{secrets.token_hex(16)}-00000000000000aa-00"
    for headers in ({}, {"traceparent": unsampled}, {"traceparent": "garbage"}):
        answer = await api.get("/v1/me", headers=headers)
        assert len(answer.json()["trace_id"]) == 32
        assert answer.json()["trace_id"] == unsampled.split("-")[1] or headers.get("traceparent") != unsampled
    trace_id, headers = new_trace()
    await api.get("/livez", headers=headers)
    await api.get("/v1/me", headers=headers)
    collector.wait_for(trace_id, "GET /v1/me")
    assert len(collector.find(trace_id)) >= 1
    assert all(span.trace_id.hex() == trace_id for span in collector.spans[before:])


async def test_problem_and_log_lines_name_the_trace(admin: Person) -> None:
    trace_id, headers = new_trace()
    problem = (await admin.get(f"/v1/orgs/{admin.user_id}", headers=headers)).json()
    assert problem["trace_id"] == trace_id
    assert problem["request_id"]
    bound = TRACE_ID.set(trace_id)
    line: EventDict = {"event": "anything"}
    for process in build_processors(console=False, process="test")[0]:
        line = dict(process(None, "info", line))  # type: ignore[arg-type]  # processors may return text; these do not
    TRACE_ID.reset(bound)
    assert line["trace_id"] == trace_id


async def test_job_continues_the_trace_of_the_request_that_enqueued_it(
    collector: Collector, traced: Settings, admin: Person
) -> None:
    org = await admin.create_org()
    trace_id, headers = new_trace()
    started = await admin.post(f"/v1/orgs/{org['id']}/members/exports", json={}, headers=headers)
    assert started.status_code in {201, 202}, started.text
    await run_worker(traced, until_idle=True)
    jobs = [span for span in collector.find(trace_id) if span.kind == Span.SPAN_KIND_CONSUMER]
    requests = [span for span in collector.find(trace_id) if span.kind == Span.SPAN_KIND_SERVER]
    assert [span.parent_span_id for span in jobs] == [span.span_id for span in requests]
    assert jobs[0].name == f"process {attributes(jobs[0])['messaging.destination.name']}"
    assert any(span.parent_span_id == jobs[0].span_id for span in collector.find(trace_id))


async def test_failed_request_is_an_error_without_its_text(
    collector: Collector, app: FastAPI, admin: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = fresh_phone()

    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError(canary)

    trace_id, headers = new_trace()
    monkeypatch.setattr("app.database.driver.ReadPool.fetch", fail)
    assert (await admin.get("/v1/me", headers=headers)).status_code == 500
    found = collector.wait_for(trace_id, "GET /v1/me")
    assert found[-1].status.code == Status.STATUS_CODE_ERROR
    assert found[-1].status.message == ""
    assert attributes(found[-1])["error.type"] == "500"
    assert canary.encode() not in b"".join(collector.bodies)


async def test_traces_contain_nothing_of_a_person(collector: Collector, traced: Settings, admin: Person) -> None:
    """Every way in: a path, a query, a body, headers, `tracestate`, a value of SQL, an error of SQL, a job."""
    org = await admin.create_org()
    phone, name, number = fresh_phone(), fresh_name() + fresh_name(), fresh_id_card_number()
    trace_id, headers = new_trace()
    headers |= {"tracestate": f"a={phone}", "baggage": f"a={phone}", "User-Agent": phone, "Referer": f"/{phone}"}
    members = f"/v1/orgs/{org['id']}/members"
    for _ in range(2):  # the second one violates a constraint
        await admin.post(members, json={"name": name, "phone": phone}, headers=headers)
    await admin.get(members, params={"q": name}, headers=headers)
    await admin.get(f"/v1/orgs/{phone}/{name}", headers=headers)
    await admin.request(f"M{phone}", "/v1/me", headers=headers)
    await admin.post("/v1/me/verifications", json={"name": name, "id_card_number": number}, headers=headers)
    await admin.api.post("/v1/phone-codes", json={"phone": phone}, headers=headers)
    await admin.post(f"{members}/exports", json={"q": name}, headers=headers)
    await run_worker(traced, until_idle=True)
    end, headers_of_end = new_trace()
    await admin.get("/v1/me", headers=headers_of_end)
    collector.wait_for(end, "GET /v1/me")
    sent = b"".join(collector.bodies)
    assert len(collector.find(trace_id)) > 10
    for secret in (phone, name, number, org["id"], admin.user_id, admin.phone, admin.name):
        assert secret.encode() not in sent, secret


async def test_collector_that_is_away_costs_lost_spans_only(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    before = tracing.get_tracer()
    away = {"otlp_url": f"http://127.0.0.1:{find_free_port()}", "trace_share": 1.0}
    application = create_app(settings.model_copy(update=away))
    async with application.router.lifespan_context(application):
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
            assert (await client.get("/v1/me")).status_code == 401
        began = time.monotonic()
    assert time.monotonic() - began < tracing.STOP_SECONDS + 5
    assert tracing.get_tracer() is before


def test_service_without_the_packages_of_the_extra_says_so(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def find_nothing(name: str) -> None:
        raise ModuleNotFoundError(name="opentelemetry.sdk")

    monkeypatch.setattr("importlib.import_module", find_nothing)
    with pytest.raises(CannotStart, match=r"needs the packages of xuezu\[otel\], and opentelemetry.sdk is not"):
        create_app(settings.model_copy(update={"otlp_url": "http://localhost:4318"}))
