"""A database that falls silent is given up within ten seconds, and used again as soon as it answers.

The times of the watch are shortened here; `tests/database/test_silent_servers.py` has the real ones.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import asyncpg
import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.core.settings import Settings
from app.database import watch
from app.database.connections import Database, DatabaseAway, Role
from app.database.db import DATABASE, create_engine_over
from app.database.watch import DatabaseWatch, watch_database
from app.main import create_app
from tests.people import People, fresh_phone
from tests.tcp_proxy import TcpProxy, run_proxy


@pytest.fixture(autouse=True)
def _short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PERIOD", "SUSPICIOUS_AFTER", "SILENT_AFTER", "_SLICE"):
        monkeypatch.setattr(watch, name, getattr(watch, name) / 10)
    monkeypatch.setattr(watch, "RETRY_PERIOD", 0.05)


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[tuple[TcpProxy, str]]:
    async with run_proxy(database_url) as found:
        yield found


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 — no signal tells of it
            await asyncio.sleep(0.02)


async def test_statements_of_a_silent_server_fail_and_later_ones_at_once(proxy: tuple[TcpProxy, str]) -> None:
    database = Database.from_url(f"{proxy[1]}&connect_timeout=1")
    engine = create_engine_over(database, Role.REQUEST, size=3)
    async with watch_database(database):
        async with engine.connect() as db:
            await db.execute(text("SELECT 1"))
            proxy[0].silent = True
            with pytest.raises(DBAPIError, match="connection was closed in the middle of operation"):
                async with asyncio.timeout(10):
                    await db.execute(text("SELECT 1"))
        await until(lambda: database.is_away)
        began = time.monotonic()
        with pytest.raises(DatabaseAway):
            await engine.connect()
        assert time.monotonic() - began < 0.5
        proxy[0].silent = False
        await until(lambda: not database.is_away)
        async with engine.connect() as db:
            assert await db.scalar(text("SELECT 1")) == 1
        await engine.dispose()


async def test_cancelled_statement_of_a_silent_server_does_not_keep_its_connection(proxy: tuple[TcpProxy, str]) -> None:
    """The driver sends the request to cancel on a new connection, which is silent too."""
    database = Database.from_url(f"{proxy[1]}&connect_timeout=1")
    engine = create_engine_over(database, Role.REQUEST, size=1)
    async with watch_database(database):
        async with engine.connect() as db:
            await db.execute(text("SELECT 1"))
        proxy[0].silent = True

        async def read() -> None:
            async with engine.begin() as db:
                await db.execute(text("SELECT 1"))

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.2)
        reading.cancel()
        async with asyncio.timeout(10):
            await asyncio.wait({reading})
        proxy[0].silent = False
        await until(lambda: not database.is_away)
        async with asyncio.timeout(10), engine.connect() as db:
            assert await db.scalar(text("SELECT 1")) == 1
        await engine.dispose()


async def test_connections_move_to_another_host_when_theirs_is_silent(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second host answers, so that the database is never away."""
    monkeypatch.setattr(watch, "SILENT_AFTER", 5.0)
    async with run_proxy(database_url) as (first, address), run_proxy(database_url) as (second, other):
        hosts = other.rpartition("@")[2].partition("/")[0]
        database = Database.from_url(address.replace("/xuezu", f",{hosts}/xuezu", 1) + "&connect_timeout=1")
        engine = create_engine_over(database, Role.REQUEST, size=2)
        async with watch_database(database) as watched:
            async with engine.connect() as db:
                await db.execute(text("SELECT 1"))
                aborted = asyncio.create_task(watched.wait_until_aborted())
                await until(lambda: first.connections == 2)
                first.silent = True
                with pytest.raises(DBAPIError):
                    async with asyncio.timeout(10):
                        await db.execute(text("SELECT 1"))
            await aborted
            assert not database.is_away
            async with engine.connect() as db:
                assert await db.scalar(text("SELECT 1")) == 1
            assert second.connections >= 2
            await engine.dispose()


async def test_connections_leave_a_server_that_can_no_longer_be_written(database_url: str) -> None:
    database = Database.from_url(f"{database_url}&target_session_attrs=read-write")
    probe = DatabaseWatch(database)
    assert await probe._ask() is None
    assert probe._kept is not None
    await probe._kept.execute("SET default_transaction_read_only = on")
    assert await probe._ask() == "read-only"
    probe._keep(None)


async def test_busy_process_does_not_take_its_own_pause_for_silence(database_url: str) -> None:
    database = Database.from_url(database_url)
    connection = await database.connect(Role.REQUEST)
    async with watch_database(database):
        for _ in range(4):
            await asyncio.sleep(0.12)
            time.sleep(1)  # noqa: ASYNC251 — the event loop is blocked on purpose
        await asyncio.sleep(0.3)
        assert not database.is_away
        assert not connection.is_closed()
    await connection.close()


async def test_server_that_refuses_one_more_connection_is_there(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database.from_url(database_url)

    async def refuse(*_: object, **__: object) -> None:
        raise asyncpg.TooManyConnectionsError("sorry, too many clients already")

    monkeypatch.setattr(database, "connect", refuse)
    assert await DatabaseWatch(database)._ask() is None

    async def start(*_: object, **__: object) -> None:
        raise asyncpg.CannotConnectNowError("the database system is starting up")

    monkeypatch.setattr(database, "connect", start)
    assert await DatabaseWatch(database)._ask() == "CannotConnectNowError"


async def test_api_answers_503_while_the_database_is_silent(
    settings: Settings, people: People, proxy: tuple[TcpProxy, str], tmp_path: object
) -> None:
    person = await people.register(verified=False, party=False)
    app = create_app(settings.model_copy(update={"database_url": SecretStr(f"{proxy[1]}&connect_timeout=1")}))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as api,
    ):

        async def call() -> list[httpx.Response]:
            answers = [api.get(path, headers=person.headers) for path in ("/v1/me", "/v1/inbox", "/v1/me/orgs")]
            return await asyncio.gather(*answers, api.post("/v1/phone-codes", json={"phone": fresh_phone()}))

        assert [answer.status_code for answer in await call()] == [200, 200, 200, 202]
        proxy[0].silent = True
        async with asyncio.timeout(10):
            answers = await call()
        await until(lambda: DATABASE.get(app).is_away)
        began = time.monotonic()
        answers += await call()
        assert time.monotonic() - began < 1
        for answer in answers:
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) > 0
        proxy[0].silent = False
        await until(lambda: not DATABASE.get(app).is_away)
        assert [answer.status_code for answer in await call()] == [200, 200, 200, 202]
