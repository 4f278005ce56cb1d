"""The metrics of a process, as Prometheus reads them from its port."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.cipher import Cipher
from app.core.settings import Settings
from app.database.connections import Database, Role
from app.database.db import ENGINE
from app.database.driver import ReadPool
from app.http_server import bind
from app.main import create_app
from app.middleware.http_metrics import BUCKETS
from app.monitoring import server
from app.monitoring.api_gauges import serve_api_metrics
from app.monitoring.worker_gauges import WorkerGauges, read_certificate_days
from app.queue.jobs import Worker, enqueue
from app.reports.jobs import check_totals
from tests.people import People, Person, fresh_name, fresh_phone

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def read_metrics(url: str) -> tuple[str, Samples]:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{url}/metrics")
    assert answer.status_code == 200
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    return answer.text, samples


def name(metric: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return metric, tuple(sorted(labels.items()))


@asynccontextmanager
async def metrics_of_api(app: FastAPI) -> AsyncIterator[str]:
    sockets = bind("127.0.0.1", 0)
    async with serve_api_metrics(app, sockets):
        yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}"


@pytest.fixture(scope="module")
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    application = create_app(settings.model_copy(update={"metrics_port": 9100}))
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture(scope="module")
def engine(app: FastAPI) -> AsyncEngine:
    return ENGINE.get(app)


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


# The requests of the API


async def test_requests_are_counted_by_the_template_of_their_route(app: FastAPI, admin: Person) -> None:
    org = await admin.create_org()
    fast = name("http_requests_total", route="/v1/orgs/{org_id}", method="GET", **{"class": "2xx"})
    refused = name("http_requests_total", route="/v1/orgs/{org_id}/members", method="POST", **{"class": "4xx"})
    unknown = name("http_requests_total", route="other", method="GET", **{"class": "4xx"})
    strange = name("http_requests_total", route="other", method="other", **{"class": "4xx"})
    count = name("http_request_duration_seconds_count", route="/v1/orgs/{org_id}", method="GET")
    async with metrics_of_api(app) as url:
        _, before = await read_metrics(url)
        for _ in range(3):
            assert (await admin.get(f"/v1/orgs/{org['id']}")).status_code == 200
        await admin.post(f"/v1/orgs/{org['id']}/members", json={})
        await admin.get(f"/v1/nowhere/{org['id']}")
        await admin.request("BREW", f"/v1/nowhere/{org['id']}")
        written, after = await read_metrics(url)
    changes = {key: after.get(key, 0) - before.get(key, 0) for key in (fast, refused, unknown, count)}
    assert changes == {fast: 3, refused: 1, unknown: 1, count: 3}
    assert after.get(strange, 0) - before.get(strange, 0) == 1
    assert org["id"] not in written
    assert "BREW" not in written
    bounds = {dict(labels)["le"] for metric, labels in after if metric == "http_request_duration_seconds_bucket"}
    assert bounds == {str(float(bound)) for bound in BUCKETS} | {"+Inf"}


async def test_metrics_contain_nothing_of_a_person(app: FastAPI, admin: Person) -> None:
    org = await admin.create_org()
    phone, person = fresh_phone(), fresh_name() + fresh_name()
    await admin.post(f"/v1/orgs/{org['id']}/members", json={"name": person, "phone": phone})
    await admin.get(f"/v1/orgs/{org['id']}/members", params={"q": person})
    await admin.get(f"/v1/orgs/{phone}/{person}")
    await admin.api.post("/v1/phone-codes", json={"phone": phone})
    await admin.api.post("/oauth/token", data={"client_id": phone, "grant_type": person, "phone": phone, "code": "1"})
    async with metrics_of_api(app) as url:
        written, _ = await read_metrics(url)
    for secret in (phone, person, org["id"], admin.user_id, admin.phone, admin.name):
        assert secret not in written


async def test_api_shows_its_connections_and_that_it_is_ready(app: FastAPI) -> None:
    async with metrics_of_api(app) as url:
        _, samples = await read_metrics(url)
    assert samples["xuezu_ready", ()] == 1
    assert samples["xuezu_metrics_incomplete", ()] == 0
    assert 0 <= samples["xuezu_database_connections", ()] < samples["xuezu_database_connections_limit", ()]
    assert ("process_cpu_seconds_total", ()) in samples


async def test_public_port_has_no_metrics(api: httpx.AsyncClient) -> None:
    assert (await api.get("/metrics")).status_code == 404


# The worker's gauges


@asynccontextmanager
async def metrics_of_worker(settings: Settings, url: str | None = None) -> AsyncIterator[str]:
    if url is not None:
        settings = settings.model_copy(update={"database_url": SecretStr(url)})
    sockets = bind("127.0.0.1", 0)
    pool = ReadPool(Database.from_settings(settings), 1, Role.LISTEN)
    async with pool, server.serve_metrics(sockets, WorkerGauges(settings, pool).refresh):
        yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}"


async def test_worker_shows_waiting_jobs_and_open_transactions(
    settings: Settings, engine: AsyncEngine, db: AsyncConnection
) -> None:
    async with engine.begin() as writing:
        await enqueue(writing, "check_org_load", {})
        await enqueue(writing, "a_job_of_another_version", {})
    await db.execute(text("UPDATE pgqueuer SET execute_after = now() - interval '90 seconds'"))
    try:
        async with engine.connect() as open_transaction, metrics_of_worker(settings) as url:
            await open_transaction.execute(text("CREATE TEMPORARY TABLE written (id int)"))
            await asyncio.sleep(0.05)
            _, samples = await read_metrics(url)
    finally:
        await db.execute(
            text("DELETE FROM pgqueuer WHERE entrypoint IN ('check_org_load', 'a_job_of_another_version')")
        )
    assert samples[name("xuezu_jobs_waiting", job="check_org_load")] >= 1
    assert samples[name("xuezu_jobs_waiting", job="other")] >= 1
    assert samples[name("xuezu_job_age_seconds", job="check_org_load")] >= 90
    assert samples[name("xuezu_jobs_waiting", job="data_copy")] == 0
    assert samples["xuezu_oldest_write_transaction_seconds", ()] >= 0.05
    assert samples["xuezu_totals_lag_seconds", ()] >= 0
    assert samples["xuezu_metrics_incomplete", ()] == 0


async def test_gauges_of_an_absent_database_have_no_value(settings: Settings) -> None:
    async with metrics_of_worker(settings) as url:
        assert ("xuezu_totals_lag_seconds", ()) in (await read_metrics(url))[1]
    async with metrics_of_worker(settings, "postgresql://xuezu@127.0.0.1:1/xuezu") as url:
        _, samples = await read_metrics(url)
    assert samples["xuezu_metrics_incomplete", ()] == 1
    assert ("xuezu_totals_lag_seconds", ()) not in samples
    assert not [key for key in samples if key[0] == "xuezu_jobs_waiting"]


async def test_gauges_are_asked_for_once_in_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def refresh() -> None:
        asked.append(1)

    sockets = bind("127.0.0.1", 0)
    async with server.serve_metrics(sockets, refresh):
        url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
        await asyncio.gather(*(read_metrics(url) for _ in range(5)))
        assert len(asked) == 1
        monkeypatch.setattr(server, "CACHE_SECONDS", 0)
        await read_metrics(url)
        assert len(asked) == 2


async def test_slow_gauges_do_not_delay_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REFRESH_SECONDS", 0.1)
    sockets = bind("127.0.0.1", 0)
    async with server.serve_metrics(sockets, lambda: asyncio.sleep(30)):
        _, samples = await read_metrics(f"http://127.0.0.1:{sockets[0].getsockname()[1]}")
    assert samples["xuezu_metrics_incomplete", ()] == 1


# The check of the totals


async def test_wrong_totals_become_a_metric(settings: Settings, engine: AsyncEngine, db: AsyncConnection) -> None:
    worker = Worker(settings, engine, Cipher(settings))
    edge = {"org": uuid4()}
    await check_totals(worker, {})
    before = (await db.execute(text("SELECT findings FROM health_checks WHERE name = 'totals'"))).scalar_one()
    await db.execute(
        text(
            "INSERT INTO tree_edges (subordinate_id, superior_id, since, before)"
            " VALUES (:org, :org, '2026-01-01', '2027-01-01')"
        ),
        edge,
    )
    try:
        await check_totals(worker, {})
        async with metrics_of_worker(settings) as url:
            _, samples = await read_metrics(url)
    finally:
        await db.execute(text("DELETE FROM tree_edges WHERE subordinate_id = :org"), edge)
    assert samples[name("xuezu_check_findings", check="totals")] == before + 1
    assert samples[name("xuezu_check_age_seconds", check="totals")] < 60


# The certificate


async def test_days_of_a_certificate_are_read_from_the_server(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=90))
        .not_valid_after(now - timedelta(days=5))
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "both.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context) as tls:
        days = await read_certificate_days("127.0.0.1", tls.sockets[0].getsockname()[1])
    assert days is not None
    assert -5.1 < days < -4.9
    assert await read_certificate_days("127.0.0.1", 1) is None
