"""/livez and /readyz, as a supervisor and a load balancer use them."""

import asyncio
from pathlib import Path

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from app.core.settings import Settings
from app.database import migration
from app.database.schema_compatibility import get_head_revision
from app.embedded import postgres
from app.main import create_app
from tests.people import fresh_phone


async def test_service_is_alive_and_ready(api: httpx.AsyncClient) -> None:
    assert (await api.get("/livez")).json() == {"status": "alive"}
    assert (await api.get("/readyz")).json() == {"status": "ready", "revision": get_head_revision()}


async def test_service_without_a_migrated_database_is_not_ready(directory: Path) -> None:
    """The test's own server stops and starts again under a running service."""
    server = await asyncio.to_thread(postgres.start, directory / "postgres", settings=postgres.THROWAWAY)
    try:
        await migration.migrate_to_head(server.build_url())
        # `sslmode=` is a libpq option that many hosted databases have in their address.
        address = SecretStr(f"{server.build_url()}&sslmode=disable")
        settings = Settings(database_url=address, data_dir=directory, database_pool=2).complete_secrets()
        app = create_app(settings)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
        ):

            async def readyz() -> int:
                response = await client.get("/readyz", headers={"Accept-Language": "en"})
                if response.status_code == 503:
                    assert response.json()["type"] == "/problems/not-ready"
                    assert int(response.headers["Retry-After"]) > 0
                return response.status_code

            async def becomes_ready() -> None:
                for _ in range(100):  # on a busy machine the database can exceed the time limit of /readyz
                    if await readyz() == 200:
                        return
                    await asyncio.sleep(0.1)
                pytest.fail("never ready again")

            await becomes_ready()
            await execute(server.build_url(), "UPDATE alembic_version SET version_num = '0001'")
            assert await readyz() == 503
            await execute(server.build_url(), f"UPDATE alembic_version SET version_num = '{get_head_revision()}'")
            await becomes_ready()

            # Other routes answer 503 as well, with old and with new connections.
            await asyncio.to_thread(server.stop)
            assert [await readyz() for _ in range(3)] == [503, 503, 503]
            for _ in range(3):
                response = await client.post("/v1/phone-codes", json={"phone": fresh_phone()})
                assert (response.status_code, response.json()["type"]) == (503, "/problems/unavailable")
            assert (await client.get("/livez")).status_code == 200

            await asyncio.to_thread(postgres.start, directory / "postgres", settings=postgres.THROWAWAY)
            await becomes_ready()
    finally:
        await asyncio.to_thread(server.stop)


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()
