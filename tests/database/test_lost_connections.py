"""Connections that the server ends: a read is answered or refused with 503 and `Retry-After`, never with 500."""

import asyncio
from collections import Counter

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.settings import Settings
from app.main import create_app
from tests.people import People

PIDS = text("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'xuezu%'")
END = text("SELECT pg_terminate_backend(pid) FROM unnest(CAST(:pids AS int[])) AS pid")
READS = ("/v1/inbox", "/v1/me", "/v1/me/orgs")


async def test_read_whose_connection_was_ended_is_never_a_server_error(
    settings: Settings, db: AsyncConnection, people: People
) -> None:
    person = await people.register(verified=False, party=False)
    app = create_app(settings)
    seen: Counter[int] = Counter()
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://x") as api,
    ):

        async def read(path: str) -> None:
            answer = await api.get(path, headers=person.headers)
            seen[answer.status_code] += 1
            assert answer.status_code != 503 or "retry-after" in answer.headers

        others = set((await db.scalars(PIDS)).all())
        await asyncio.gather(*map(read, READS * 4))
        for _ in range(15):
            ours = [pid for pid in (await db.scalars(PIDS)).all() if pid not in others]
            reading = [asyncio.create_task(read(path)) for path in READS * 4]
            await asyncio.sleep(0.001)
            await db.execute(END, {"pids": ours})
            await asyncio.gather(*reading)
            await asyncio.gather(*map(read, READS))
        await asyncio.sleep(0.2)
        assert [(await api.get(path, headers=person.headers)).status_code for path in READS] == [200] * 3
    assert seen.keys() <= {200, 503}, seen
