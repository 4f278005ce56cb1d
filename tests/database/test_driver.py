"""The read pool: isolation of its connections, their number, and the time limit for a free one."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.core.settings import Settings
from app.database import driver
from app.database.connections import Database, Role
from app.database.driver import ReadPool


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[ReadPool]:
    async with ReadPool(Database.from_settings(settings), 2) as pool:
        yield pool


async def _process(pool: ReadPool) -> int:
    pid: int = (await pool.fetch("SELECT pg_backend_pid()"))[0][0]
    return pid


async def test_cancelled_read_closes_its_connection(pool: ReadPool) -> None:
    before = await _process(pool)
    slow = asyncio.create_task(pool.fetch("SELECT 'slow' FROM pg_sleep(20)"))
    await asyncio.sleep(0.2)
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    answers = await asyncio.gather(*(pool.fetch("SELECT $1::int, pg_backend_pid()", n) for n in range(50)))
    assert [rows[0][0] for rows in answers] == list(range(50))
    assert before not in {rows[0][1] for rows in answers}


async def test_failed_statement_returns_its_connection_to_the_pool(pool: ReadPool) -> None:
    before = await _process(pool)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await pool.fetch("SELECT 1 / 0")
    assert await _process(pool) == before


async def test_connection_ended_by_the_server_is_replaced(pool: ReadPool, settings: Settings) -> None:
    before = await _process(pool)
    other = await Database.from_settings(settings).connect(Role.COMMAND)
    await other.execute("SELECT pg_terminate_backend($1)", before)
    await other.close()
    await asyncio.sleep(0.2)
    assert await _process(pool) != before


async def test_slots_of_ended_and_cancelled_connections_are_freed(pool: ReadPool, settings: Settings) -> None:
    other = await Database.from_settings(settings).connect(Role.COMMAND)
    for _ in range(3):
        both = await asyncio.gather(*(pool.fetch("SELECT pg_backend_pid() FROM pg_sleep(0.1)") for _ in range(2)))
        await other.execute(
            "SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid", [rows[0][0] for rows in both]
        )
        await asyncio.sleep(0.2)
        slow = [asyncio.create_task(pool.fetch("SELECT pg_sleep(20)")) for _ in range(5)]  # three of them wait
        await asyncio.sleep(0.2)
        for task in slow:
            task.cancel()
        await asyncio.wait(slow)
    await other.close()
    answers = await asyncio.gather(*(pool.fetch("SELECT $1::int", n) for n in range(10)))
    assert [rows[0][0] for rows in answers] == list(range(10))


async def test_read_without_a_free_connection_is_refused(pool: ReadPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "WAIT_SECONDS", 0.2)
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(pool.fetch("SELECT pg_sleep(1)"))
        await asyncio.sleep(0.1)
        with pytest.raises(ConnectionError):  # a 503 of the API
            await pool.fetch("SELECT 1")


async def test_returned_connection_costs_no_round_trip(pool: ReadPool, settings: Settings) -> None:
    pid = await _process(pool)
    other = await Database.from_settings(settings).connect(Role.COMMAND)
    last = await other.fetchval("SELECT query FROM pg_stat_activity WHERE pid = $1", pid)
    await other.close()
    assert last == "SELECT pg_backend_pid()"
