"""A server is killed between a request and its answer: a write is complete or absent, and repeating the call is safe.

Two locks make the server wait at these moments: the lock of an org's row before the write, and a lock that a trigger
takes within COMMIT after it.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.settings import Settings
from tests.acts import Json, certify, get_body, invite, list_actions
from tests.people import People, fresh_org_name
from tests.processes import PATIENCE, find_free_port, program

_WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ILIKE :query
"""
_SLOW_COMMIT = (
    "CREATE FUNCTION wait_within_commit() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NULL; END $$",
    "CREATE CONSTRAINT TRIGGER wait_within_commit AFTER INSERT ON orgs DEFERRABLE INITIALLY DEFERRED "
    "FOR EACH ROW WHEN (NEW.name LIKE '%慢%') EXECUTE FUNCTION wait_within_commit()",
)


@asynccontextmanager
async def start_server(settings: Settings) -> AsyncIterator[tuple[httpx.AsyncClient, Callable[[], None]]]:
    """Start a server in its own process with the same database and secrets. Yield its client and the function that
    kills it."""
    assert settings.database_url is not None
    port = find_free_port()
    environment = {
        "XUEZU_DATABASE_URL": settings.database_url.get_secret_value(),
        "XUEZU_DATA_DIR": settings.data_dir,
        "XUEZU_PUBLIC_URL": settings.public_url,
        "XUEZU_PORT": port,
    }
    with program(sys.executable, "-m", "app.cli", "serve", **environment) as server:
        async with httpx.AsyncClient(base_url=f"http://localhost:{port}", timeout=PATIENCE) as client:
            async with asyncio.timeout(PATIENCE):
                while True:
                    try:
                        get_body(await client.get("/readyz"))
                        break
                    except httpx.TransportError:
                        assert server.process.poll() is None, server.output
                        await asyncio.sleep(0.1)
            yield client, lambda: server.process.send_signal(signal.SIGKILL)


async def wait_for_lock(db: AsyncConnection, query: str, request: asyncio.Future[httpx.Response]) -> None:
    """Wait until the request waits for a lock within a statement like `query`."""
    async with asyncio.timeout(PATIENCE):
        while not await db.scalar(text(_WAITING), {"query": query}):
            assert not request.done(), request.result().text
            await asyncio.sleep(0.02)


async def wait_for_no_lock(db: AsyncConnection) -> None:
    async with asyncio.timeout(PATIENCE):
        while await db.scalar(text(_WAITING), {"query": "%"}):  # noqa: ASYNC110 — the database has no event for it
            await asyncio.sleep(0.02)


async def test_server_killed_before_or_after_commit_leaves_all_or_nothing(
    people: People, settings: Settings, engine: AsyncEngine, db: AsyncConnection
) -> None:
    founder = await people.register()
    old, org, new = [await founder.create_org() for _ in range(3)]
    await certify(founder, old, founder, org)
    token = (await invite(founder, new))["token"]
    created = get_body(await founder.post(f"/v1/orgs/{org['id']}/transfers", json={"invitation_token": token}), 201)
    body = {"preview": created["preview"]["version"]}
    get_body(await founder.put(f"/v1/orgs/{old['id']}/transfers/{created['id']}/release", json=body))
    path = f"/v1/orgs/{new['id']}/transfers/{created['id']}/acceptance"
    wanted = {"name": fresh_org_name().replace("委员会", "慢委员会"), "region_code": "320102"}
    headers = founder.headers | {"Idempotency-Key": f"killed-{founder.user_id}"}

    for statement in _SLOW_COMMIT:
        await db.exec_driver_sql(statement)
    try:
        async with start_server(settings) as (client, kill), engine.begin() as holder:
            await holder.execute(text("SELECT FROM orgs WHERE id = :id FOR UPDATE"), {"id": org["id"]})
            await holder.execute(text("SELECT pg_advisory_xact_lock(4711)"))
            acceptance = asyncio.ensure_future(client.put(path, json=body, headers=founder.headers))
            creation = asyncio.ensure_future(client.post("/v1/orgs", json=wanted, headers=headers))
            await wait_for_lock(db, "%FROM orgs%", acceptance)
            await wait_for_lock(db, "%COMMIT%", creation)
            kill()
            for request in (acceptance, creation):
                with pytest.raises(httpx.TransportError):
                    await request
        await wait_for_no_lock(db)  # a commit that has begun goes on after its client was killed
    finally:
        await db.exec_driver_sql("DROP TRIGGER wait_within_commit ON orgs")
        await db.exec_driver_sql("DROP FUNCTION wait_within_commit")

    card: Json = get_body(await founder.get(f"/v1/orgs/{org['id']}"))
    assert (card["superior_id"], "transfer.accepted" in await list_actions(founder, org)) == (old["id"], False)
    assert get_body(await founder.put(path, json=body))["state"] == "accepted"  # the killed server has left no lock
    assert get_body(await founder.get(f"/v1/orgs/{org['id']}"))["superior_id"] == new["id"]

    org_created = get_body(await founder.post("/v1/orgs", json=wanted, headers=headers), 201)
    found = (await db.execute(text("SELECT id::text FROM orgs WHERE name = :name"), wanted)).scalars().all()
    assert found == [org_created["id"]]
    assert await list_actions(founder, org_created) == ["org.created"]
