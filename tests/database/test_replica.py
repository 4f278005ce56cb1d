"""Reads from a real standby: where they go, and the instant for which they are true."""

import asyncio
import re
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import text

from app.core.cipher import CIPHER, Cipher
from app.core.services import SETTINGS
from app.core.settings import Settings
from app.database import replica as replicas
from app.database.connections import Database, Role
from app.database.db import ENGINE, POOL, ReadConnection
from app.database.migration import migrate
from app.database.replica import REPLICA, Position, Replica, open_position, seal_position, watch_replica
from app.database.replica_reads import ReplicaConnection
from app.embedded import postgres
from app.exports import jobs
from app.main import create_app
from app.worker.worker import run_worker
from tests.acts import Json, add_admin, get_body
from tests.contract import Contract
from tests.people import People, Person, fresh_name
from tests.standby import STANDBY, Pair, run_pair


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with tempfile.TemporaryDirectory(prefix="xuezu-test-") as made, run_pair(Path(made)) as servers:
        migrate(servers.primary.build_url())
        yield servers


@pytest.fixture(scope="module")
def settings(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        database_url=SecretStr(pair.primary.build_url()),
        replica_url=SecretStr(pair.standby.build_url()),
        data_dir=tmp_path_factory.mktemp("data"),
        database_pool=4,
        trusted_proxies="127.0.0.0/8,::1",
    ).complete_secrets()


@pytest.fixture(scope="module")
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    application = create_app(settings)
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture(scope="module")
async def api(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    contract = Contract(app)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app, client=("127.0.0.1", 50000)),
        base_url=SETTINGS.get(app).issuer,
        event_hooks={"response": [contract.check]},
    ) as client:
        yield client


@pytest.fixture(scope="module")
def people(api: httpx.AsyncClient, app: FastAPI) -> People:
    return People(api, app)


@pytest.fixture(scope="module")
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture(scope="module")
async def org(admin: Person) -> Json:
    return await admin.create_org()


@pytest.fixture
async def replica(app: FastAPI, pair: Pair) -> AsyncIterator[Replica]:
    """The standby, which replays and is used."""
    found = REPLICA.get(app)
    assert found is not None
    pair.resume()
    await until(lambda: found.freshness is not None)
    yield found
    pair.resume()


async def until(done: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait until it is true, at most twenty seconds."""
    deadline = time.monotonic() + 20
    while True:
        found = done()
        if found is True or (isinstance(found, Awaitable) and await found):
            return
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def list_names(admin: Person, org: Json, token: str | None = None) -> list[str]:
    headers = {} if token is None else {"X-Consistency": token}
    response = await admin.get(f"/v1/orgs/{org['id']}/members?limit=200", headers=headers)
    assert "X-Data-As-Of" in response.headers
    return [row["name"] for row in get_body(response)["items"]]


async def has_name(admin: Person, org: Json, name: str) -> bool:
    return name in await list_names(admin, org)


async def add(admin: Person, org: Json) -> tuple[str, str]:
    """Add a member. Return the name and the value of `X-Consistency`."""
    name = fresh_name() + fresh_name()
    response = await admin.post(f"/v1/orgs/{org['id']}/members", json={"name": name, "no_phone": True})
    assert response.status_code == 201, response.text
    return name, response.headers["X-Consistency"]


async def read_clock(app: FastAPI) -> datetime:
    """Return the time of the primary."""
    found: datetime = (await POOL.get(app).fetch("SELECT clock_timestamp() AS at"))[0]["at"]
    return found


def parse_as_of(response: httpx.Response) -> datetime:
    return datetime.fromisoformat(response.headers["X-Data-As-Of"])


# The instant for which data are true


async def test_paused_standby_shows_old_data_and_says_for_when_they_are_true(
    replica: Replica, pair: Pair, admin: Person, org: Json, app: FastAPI
) -> None:
    pair.pause()
    before = await read_clock(app)
    name, _ = await add(admin, org)
    assert name not in await list_names(admin, org)
    report = await admin.get(f"/v1/orgs/{org['id']}/reports/overview")
    assert parse_as_of(report) < before
    assert datetime.fromisoformat(get_body(report)["as_of"]) <= parse_as_of(report)
    units = await admin.get(f"/v1/orgs/{org['id']}/reports/units")
    assert datetime.fromisoformat(get_body(units)["as_of"]) <= parse_as_of(units)
    assert parse_as_of(units) < before


async def test_data_of_an_idle_primary_are_true_for_now(replica: Replica, admin: Person, org: Json) -> None:
    first = parse_as_of(await admin.get(f"/v1/orgs/{org['id']}/rankings"))
    await asyncio.sleep(3 * replicas.PERIOD)
    assert parse_as_of(await admin.get(f"/v1/orgs/{org['id']}/rankings")) > first


async def test_data_that_are_too_old_are_read_from_the_primary(
    replica: Replica, pair: Pair, admin: Person, org: Json, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "MAX_LAG", 0.8)
    pair.pause()
    name, _ = await add(admin, org)
    await until(lambda: replica.freshness is None)
    assert replica.lag is not None
    before = await read_clock(app)
    assert name in await list_names(admin, org)
    assert parse_as_of(await admin.get(f"/v1/orgs/{org['id']}/members")) >= before


# One's own writes


async def test_token_of_a_write_makes_the_next_read_contain_it(
    replica: Replica, pair: Pair, admin: Person, org: Json
) -> None:
    pair.pause()
    name, token = await add(admin, org)
    assert name in await list_names(admin, org, token)


async def test_read_with_the_token_of_a_replayed_write_comes_from_the_standby(
    replica: Replica, pair: Pair, admin: Person, org: Json
) -> None:
    first, token = await add(admin, org)
    await until(partial(has_name, admin, org, first))
    pair.pause()
    second, _ = await add(admin, org)
    names = await list_names(admin, org, token)
    assert first in names
    assert second not in names


async def test_browser_gets_the_position_of_its_write_as_a_cookie(
    replica: Replica, pair: Pair, admin: Person, org: Json
) -> None:
    pair.pause()
    path, name = f"/v1/orgs/{org['id']}/members", fresh_name() + fresh_name()
    made = await admin.post(path, json={"name": name, "no_phone": True}, headers={"Cookie": "any=thing"})
    found = re.match(r"xuezu-consistency=([\w-]+); Path=/; Max-Age=\d+; HttpOnly", made.headers["Set-Cookie"])
    assert found is not None
    admin.api.cookies.clear()
    listed = await admin.get(f"{path}?limit=200", headers={"Cookie": f"xuezu-consistency={found[1]}"})
    assert name in [row["name"] for row in get_body(listed)["items"]]


async def test_reads_and_refused_writes_answer_no_position(replica: Replica, admin: Person, org: Json) -> None:
    assert "X-Consistency" not in (await admin.get(f"/v1/orgs/{org['id']}/members")).headers
    refused = await admin.post(f"/v1/orgs/{org['id']}/members", json={})
    assert refused.status_code == 422
    assert "X-Consistency" not in refused.headers


async def test_former_admin_is_refused_whatever_the_standby_has(
    replica: Replica, pair: Pair, admin: Person, org: Json, people: People
) -> None:
    other = await people.register()
    await add_admin(admin, org, other)
    assert (await other.get(f"/v1/orgs/{org['id']}/members")).status_code == 200
    pair.pause()
    assert (await admin.delete(f"/v1/orgs/{org['id']}/admins/{other.user_id}")).status_code == 204
    for path in ("reports/overview", "members"):
        assert (await other.get(f"/v1/orgs/{org['id']}/{path}")).status_code in {403, 404}


# Tokens


@given(timeline=st.integers(0, 2**32), lsn=st.integers(0, 2**65))
def test_sealed_position_opens_again(settings: Settings, timeline: int, lsn: int) -> None:
    cipher = Cipher(settings)
    assert open_position(cipher, seal_position(cipher, Position(timeline, lsn))) == Position(timeline, lsn)


@given(st.text())
@example("")
@example("=")
@example("AAAA")
def test_foreign_token_names_no_position(settings: Settings, token: str) -> None:
    assert open_position(Cipher(settings), token) is None


async def test_foreign_token_is_read_from_the_primary(
    replica: Replica, pair: Pair, admin: Person, org: Json, app: FastAPI
) -> None:
    assert replica.freshness is not None
    timeline = replica.freshness.position.timeline
    other_timeline = seal_position(CIPHER.get(app), Position(timeline + 1, 0))
    pair.pause()
    name, _ = await add(admin, org)
    for token in ("", "x", "A" * 2000, other_timeline):
        assert (name in await list_names(admin, org, token)) == bool(token), token


# Failures of the standby


async def test_statement_that_fails_on_the_standby_is_repeated_on_the_primary(replica: Replica, app: FastAPI) -> None:
    """A standby refuses `pg_current_wal_lsn` (55000), as it does a statement that conflicts with the replay (40001)."""
    assert replica.freshness is not None
    primary = ReadConnection(ENGINE.get(app), POOL.get(app))
    try:
        for on_engine in (False, True):
            db = ReplicaConnection(primary, replica, replica.freshness.as_of)
            assert (await db.fetch("SELECT pg_is_in_recovery() AS standby"))[0]["standby"]
            assert await db.scalar(text("SELECT pg_is_in_recovery()"))
            if on_engine:
                assert await db.scalar(text("SELECT pg_current_wal_lsn() IS NOT NULL"))
            else:
                assert (await db.fetch("SELECT pg_current_wal_lsn() IS NOT NULL AS known"))[0]["known"]
            # The statements that follow read the primary too.
            assert not (await db.fetch("SELECT pg_is_in_recovery() AS standby"))[0]["standby"]
            assert not await db.scalar(text("SELECT pg_is_in_recovery()"))
    finally:
        await primary.close()


async def test_error_of_the_statement_itself_is_not_repeated(replica: Replica, app: FastAPI) -> None:
    assert replica.freshness is not None
    primary = ReadConnection(ENGINE.get(app), POOL.get(app))
    db = ReplicaConnection(primary, replica, replica.freshness.as_of)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await db.fetch("SELECT 1 / 0")
    assert (await db.fetch("SELECT pg_is_in_recovery() AS standby"))[0]["standby"]
    await primary.close()


async def test_export_reads_the_standby_or_else_the_primary(
    replica: Replica,
    pair: Pair,
    admin: Person,
    org: Json,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs, "REPLICA_SECONDS", 0.5)
    from_replica: list[bool] = []
    write_from_replica = jobs._write_from_replica

    async def spy(*arguments: Any) -> bool:
        from_replica.append(await write_from_replica(*arguments))
        return from_replica[-1]

    monkeypatch.setattr(jobs, "_write_from_replica", spy)
    for paused in (False, True):
        name, _ = await add(admin, org)
        export = get_body(await admin.post(f"/v1/orgs/{org['id']}/members/exports", json={"format": "csv"}), 202)
        if paused:
            pair.pause()
            other, _ = await add(admin, org)
        await run_worker(settings, until_idle=True)
        content = await admin.get(f"/v1/orgs/{org['id']}/exports/{export['id']}/content")
        assert name in content.text
    assert from_replica == [True, False]
    assert other in content.text


async def test_stopped_standby_is_not_used_until_it_is_back(
    replica: Replica, pair: Pair, admin: Person, org: Json
) -> None:
    pair.standby.stop()
    name, _ = await add(admin, org)
    assert name in await list_names(admin, org)
    await until(lambda: replica.freshness is None)
    assert name in await list_names(admin, org)
    postgres.start(pair.standby.directory, settings=postgres.THROWAWAY | STANDBY)
    await until(lambda: replica.freshness is not None)
    assert name in await list_names(admin, org)


async def test_promoted_standby_is_not_used(tmp_path_factory: pytest.TempPathFactory) -> None:
    """It may have writes of its own, or miss those of the primary."""
    with tempfile.TemporaryDirectory(prefix="xuezu-test-") as made, run_pair(Path(made)) as servers:
        settings = Settings(
            database_url=SecretStr(servers.primary.build_url()),
            replica_url=SecretStr(servers.standby.build_url()),
            data_dir=tmp_path_factory.mktemp("data"),
        ).complete_secrets()
        database = Database.from_settings(settings)
        async with watch_replica(settings, Cipher(settings), database, Role.REQUEST) as found:
            assert found is not None
            await until(lambda: found.freshness is not None)
            servers.standby.execute("SELECT pg_promote()")
            await until(lambda: found.freshness is None)
