"""One embedded PostgreSQL for the whole run, one migrated database per worker, and the service over it.

Nothing is deleted between tests: each test creates its own people and orgs, with unused phones.
"""

import asyncio
import gc
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import uvloop
from fastapi import FastAPI
from playwright.async_api import Browser
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.authz import tokens
from app.authz.scopes import DEVICE_SCOPES
from app.core import logs
from app.core.i18n import SOURCE, set_locale
from app.core.services import SETTINGS
from app.core.settings import Settings
from app.core.startup import starting
from app.database.db import ENGINE
from app.database.migration import migrate
from app.embedded import postgres
from app.main import create_app
from app.worker.worker import run_worker
from tests.auth.consoles import DESKTOP
from tests.browser import chromium
from tests.contract import Contract
from tests.live import serve_in_thread
from tests.people import People
from tests.pgbouncer import build_pooled_settings, run_pgbouncer

TEMPLATE = "xuezu_migrated"
"""The template of all databases of the run: a migration takes two seconds, a copy a tenth of a second."""

_SERVER = pytest.StashKey[tuple[postgres.EmbeddedPostgres, Path]]()


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        directory = Path(tempfile.mkdtemp(prefix="xuezu-test-"))
        server = postgres.start(directory / "postgresql", settings=postgres.THROWAWAY)
        asyncio.run(_make_database(server.build_url("postgres", postgres.SUPERUSER), TEMPLATE, of="template1"))
        migrate(server.build_url(TEMPLATE, postgres.SUPERUSER))
        asyncio.run(_register_desktop(server.build_url(TEMPLATE, postgres.SUPERUSER)))
        config.stash[_SERVER] = server, directory


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    server, _ = node.config.stash[_SERVER]
    node.workerinput["server_url"] = server.build_url("postgres", postgres.SUPERUSER)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the tests marked `long`: one that starts late delays the whole run.

    xdist first gives each worker a quarter of its share of the list, so each quarter starts with some of them. The
    other tests keep their order: the tests of the signing keys end the sessions' tokens.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    long = [item for item in items if item.get_closest_marker("long")]
    others = [item for item in items if not item.get_closest_marker("long")]
    ordered: list[pytest.Item] = []
    for worker in range(workers):
        begun = long[worker::workers]
        more = max(0, len(items) // workers // 4 - len(begun))
        ordered += begun + others[:more]
        del others[:more]
    items[:] = ordered + others


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)  # a run of few minutes creates little garbage
    gc.enable()


def pytest_unconfigure(config: pytest.Config) -> None:
    if _SERVER in config.stash:
        server, directory = config.stash[_SERVER]
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(autouse=True)
def _source_language() -> None:
    """Reset the language: a request of an earlier test in the same context may have set it."""
    set_locale(SOURCE)


@pytest.fixture(scope="session")
def event_loop_policy() -> uvloop.EventLoopPolicy:
    """Return the policy of the service's event loop (`app.http_server`)."""
    return uvloop.EventLoopPolicy()


@pytest.fixture(scope="module")
def day_long_tokens() -> Iterator[None]:
    """Access tokens are valid for a day, for proofs that take longer than ten minutes and do not test their
    lifetime."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tokens, "LIFETIME", 86_400)
        yield


@pytest.fixture(scope="session")
def server_url(pytestconfig: pytest.Config) -> str:
    """Return the superuser's address of the run's server."""
    workerinput = getattr(pytestconfig, "workerinput", None)
    if workerinput is not None:
        return str(workerinput["server_url"])
    server, _ = pytestconfig.stash[_SERVER]
    return server.build_url("postgres", postgres.SUPERUSER)


@pytest.fixture(scope="session")
def database_url(server_url: str, worker_id: str) -> str:
    """Return the address of this worker's migrated database."""
    return migrated_database(server_url, f"xuezu_{worker_id}")


def migrated_database(server_url: str, name: str) -> str:
    """Create a migrated database of this name again, and return its address."""
    asyncio.run(_make_database(server_url, name, of=TEMPLATE))
    return server_url.replace("/postgres?", f"/{name}?")


async def _register_desktop(database_url: str) -> None:
    """Register the program of `tests.auth.consoles`, since the service comes with no client that uses the device
    flow."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "INSERT INTO oauth_clients (id, name, kind, scopes, refresh_seconds, session_seconds)"
            f" VALUES ('{DESKTOP}', '测试桌面端', 'device', $1, 2592000, 31536000)",
            sorted(DEVICE_SCOPES),
        )
    finally:
        await connection.close()


async def _make_database(server_url: str, name: str, *, of: str) -> None:
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{of}"')
    finally:
        await connection.close()


@pytest.fixture
def directory() -> Iterator[Path]:
    """A temporary directory for a server that only this test uses.

    It is not `tmp_path`: for root, PostgreSQL runs as another user, and each new pytest on the machine closes the
    parent of all `tmp_path`s to other users.
    """
    with tempfile.TemporaryDirectory(prefix="xuezu-test-") as made:
        yield Path(made)


@pytest.fixture(scope="session")
def settings(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Return the settings of the run. `XUEZU_TEST_POOLER=1` puts a pgbouncer between the service and its database."""
    created = Settings(
        database_url=SecretStr(database_url),
        data_dir=tmp_path_factory.mktemp("data"),
        database_pool=20,
        trusted_proxies="127.0.0.0/8,::1",  # the tests sign in more people than one address may
    ).complete_secrets()
    if os.environ.get("XUEZU_TEST_POOLER") != "1":
        yield created
        return
    with run_pgbouncer(database_url, pool_size=20) as address:
        yield build_pooled_settings(created, address)


@pytest.fixture(scope="session", autouse=True)
def _logs() -> None:
    """Configure logs as in production: a failed test shows its logs, without personal data."""
    logs.configure("json", process="test")


@pytest.fixture(scope="session")
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    with starting():
        application = create_app(settings)
        application.openapi()
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture(scope="session")
def engine(app: FastAPI) -> AsyncEngine:
    return ENGINE.get(app)


@pytest.fixture
async def db(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection in autocommit that only the test uses: it sees committed data."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        yield connection


@pytest.fixture
async def no_stored_days(engine: AsyncEngine) -> None:
    """Reports count from the sources, also where another test's worker has stored totals in this database."""
    async with engine.begin() as db:
        for table in ("stored_days", "org_totals", "org_scores"):
            await db.execute(text(f"DELETE FROM {table}"))


@pytest.fixture(scope="session")
async def api(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """The service over HTTP. Every answer is compared with the OpenAPI document (`tests.contract`)."""
    contract = Contract(app)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app, client=("127.0.0.1", 50000)),
        base_url=SETTINGS.get(app).issuer,
        event_hooks={"response": [contract.check]},
        headers={"Accept-Language": "en"},
    ) as client:
        yield client


@pytest.fixture(scope="session")
def worker(settings: Settings) -> Callable[[], Awaitable[None]]:
    """`await worker()` runs all waiting jobs as the worker process does, and returns when no job is left."""
    return lambda: run_worker(settings, until_idle=True)


@pytest.fixture(scope="session")
def live(settings: Settings) -> Iterator[str]:
    """The address of the service on a real socket, over this worker's database."""
    with serve_in_thread(settings) as url:
        yield url


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium per worker; each test opens its own context in it."""
    async with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def people(api: httpx.AsyncClient, app: FastAPI) -> People:
    return People(api, app)
