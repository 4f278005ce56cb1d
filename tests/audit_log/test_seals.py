"""The seals over the audit find every entry that a superuser changes, removes or inserts."""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from app.audit import seals
from app.audit.jobs import check_audit
from app.audit.seals import Horizon, digest_entry, read_head, seal_entries
from app.audit.verification import Fault, Finding, find_faults
from app.core.cipher import Cipher
from app.core.settings import Settings
from app.database.db import create_engine
from app.queue.jobs import Worker
from tests.conftest import migrated_database

PROOF = os.environ.get("XUEZU_PROOF") == "1"

ENTRY = """
INSERT INTO audit_entries (org_id, user_id, client_id, address, request_id, action, subject_type, subject_id, after)
VALUES ($1, $2, 'app', '203.0.113.7', 'r', 'org.edited', 'org', $1, '{"name": "县"}') RETURNING id
"""


@pytest.fixture
def url(server_url: str, worker_id: str) -> str:
    return migrated_database(server_url, f"xuezu_{worker_id}_seals")


@pytest.fixture
async def db(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


async def write(db: asyncpg.Connection, count: int = 1, *, with_org: bool = True) -> list[UUID]:
    return [await db.fetchval(ENTRY, uuid4() if with_org else None, uuid4()) for _ in range(count)]


async def seal_all(db: asyncpg.Connection) -> None:
    while await seal_entries(db, datetime.now(UTC) + timedelta(seconds=1)):
        pass


async def verify(db: asyncpg.Connection, **options: Any) -> list[Finding]:
    return [finding async for finding in find_faults(db, **options)]


async def tamper(db: asyncpg.Connection, sql: str, *arguments: Any) -> None:
    """Do as a superuser can: without the triggers."""
    async with db.transaction():
        await db.execute("SET LOCAL session_replication_role = replica")
        await db.execute(sql, *arguments)


@pytest.fixture
async def entries(db: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """Twelve entries in four seals."""
    monkeypatch.setattr(seals, "SEAL_ENTRIES", 3)
    written = await write(db, 10) + await write(db, 2, with_org=False)
    await seal_all(db)
    assert (await read_head(db)).number == 4
    assert await verify(db) == []
    return written


@pytest.mark.parametrize(
    "change",
    [
        "action = 'org.closed'",
        'after = \'{"name": "市"}\'',
        "after = NULL",
        "user_id = NULL",
        "org_id = uuidv7()",
        "address = '203.0.113.8'",
        "at = at + interval '1 microsecond'",
        "subject_id = NULL, subject_type = 'org'",
    ],
)
async def test_changed_entry_is_named(db: asyncpg.Connection, entries: list[UUID], change: str) -> None:
    await tamper(db, f"UPDATE audit_entries SET {change} WHERE id = $1", entries[4])
    assert await verify(db) == [Finding(Fault.ENTRY_CHANGED, 2, entries[4])]


async def test_removed_and_inserted_entries_are_named(db: asyncpg.Connection, entries: list[UUID]) -> None:
    between = UUID(int=entries[7].int + 1)
    await tamper(db, "DELETE FROM audit_entries WHERE id = $1", entries[0])
    await tamper(db, "INSERT INTO audit_entries (id, action, subject_type) VALUES ($1, 'org.edited', 'org')", between)
    assert await verify(db) == [Finding(Fault.ENTRY_MISSING, 1, entries[0]), Finding(Fault.ENTRY_ADDED, 3, between)]


async def test_entry_without_an_org_is_sealed_too(db: asyncpg.Connection, entries: list[UUID]) -> None:
    await tamper(db, "DELETE FROM audit_entries WHERE id = $1", entries[-1])
    assert await verify(db) == [Finding(Fault.ENTRY_MISSING, 4, entries[-1])]


async def test_changed_and_removed_seals_are_named(db: asyncpg.Connection, entries: list[UUID]) -> None:
    await tamper(db, "UPDATE audit_seals SET hash = sha256('x') WHERE number = 2")
    found = await verify(db)
    assert Finding(Fault.SEAL_CHANGED, 2) in found
    await tamper(db, "DELETE FROM audit_seals WHERE number = 2")
    assert Finding(Fault.SEAL_MISSING, 2) in await verify(db)


async def test_audit_that_was_written_anew_differs_from_the_head_outside(
    db: asyncpg.Connection, entries: list[UUID]
) -> None:
    head = str(await read_head(db))
    assert await verify(db, head=head) == []
    await tamper(db, "UPDATE audit_entries SET action = 'org.closed' WHERE id = $1", entries[4])
    await tamper(db, "DELETE FROM audit_seals")
    assert await verify(db, head=head) == [Finding(Fault.HEAD_DIFFERS, 4)]
    await seal_all(db)
    assert await verify(db) == []
    assert await verify(db, head=head) == [Finding(Fault.HEAD_DIFFERS, 4)]


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_seals SET entries = 1", "DELETE FROM audit_seals", "TRUNCATE audit_seals"]
)
async def test_database_refuses_to_change_a_seal(db: asyncpg.Connection, entries: list[UUID], statement: str) -> None:
    with pytest.raises(asyncpg.RestrictViolationError):
        await db.execute(statement)


async def test_open_transaction_holds_the_horizon_back(db: asyncpg.Connection, url: str) -> None:
    horizon = Horizon(margin=timedelta(0))
    other = await asyncpg.connect(url)
    try:
        transaction = other.transaction()
        await transaction.start()
        (late,) = await write(other)
        began = datetime.now(UTC)
        await write(db)
        for _ in range(5):
            before = await horizon.advance(db)
            assert before is None or before <= began
            if before is not None:
                await seal_entries(db, before)
        await transaction.commit()
        async with asyncio.timeout(20):  # transactions of other tests hold the horizon of the cluster back too
            while (await read_head(db)).last_id < late:
                before = await horizon.advance(db)
                if before is not None:
                    await seal_entries(db, before)
                await asyncio.sleep(0.05)
    finally:
        await other.close()
    assert await verify(db) == []


@pytest.mark.long
async def test_nothing_is_inserted_below_a_seal_while_writers_race(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactions of random length write while two workers seal without a margin.

    They get their numbers first: the margin is for those that get them just after the id of an entry was made.
    """
    monkeypatch.setattr(seals, "SEAL_ENTRIES", 20)
    stopping = False
    written = 0

    async def write_at_random(seed: int) -> None:
        nonlocal written
        chance, connection = random.Random(seed), await asyncpg.connect(url)
        while not stopping:
            async with connection.transaction():
                await connection.execute("SELECT pg_current_xact_id()")
                for _ in range(chance.randint(1, 4)):
                    await write(connection)
                    written += 1
                    await asyncio.sleep(chance.random() * 0.02)
        await connection.close()

    async def seal_at_random() -> None:
        connection, horizon = await asyncpg.connect(url), Horizon(margin=timedelta(0))
        while not stopping:
            before = await horizon.advance(connection)
            if before is not None:
                await seal_entries(connection, before)
            await asyncio.sleep(0.001)
        await connection.close()

    tasks = [asyncio.create_task(write_at_random(seed)) for seed in range(6)]
    tasks += [asyncio.create_task(seal_at_random()) for _ in range(2)]
    await asyncio.sleep(60 if PROOF else 2)
    stopping = True
    await asyncio.gather(*tasks)
    connection = await asyncpg.connect(url)
    await seal_all(connection)
    assert await verify(connection) == []
    assert await connection.fetchval("SELECT sum(entries) FROM audit_seals") == written
    await connection.close()


async def test_daily_check_stores_what_it_finds(
    db: asyncpg.Connection, url: str, settings: Settings, entries: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.audit import jobs

    monkeypatch.setattr(jobs, "SEALS", 2)
    own = settings.model_copy(update={"database_url": SecretStr(url)})
    engine = create_engine(own)
    findings = "SELECT findings FROM health_checks WHERE name = 'audit'"
    try:
        worker = Worker(own, engine, Cipher(own))
        await check_audit(worker, {})
        assert await db.fetchval(findings) == 0
        await tamper(db, "DELETE FROM audit_entries WHERE id = $1", entries[-1])
        await check_audit(worker, {})
        assert await db.fetchval(findings) == 1
    finally:
        await engine.dispose()


FIELDS = st.dictionaries(st.sampled_from(["id", "at", "action", "before", "after"]), st.none() | st.text(), min_size=1)


@given(FIELDS, FIELDS)
def test_different_entries_have_different_digests(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (digest_entry(one) == digest_entry(other)) == (list(one.items()) == list(other.items()))


def test_lowest_id_of_an_instant_is_below_all_its_ids() -> None:
    now = datetime.now(UTC)
    lowest = seals.get_lowest_id(now)
    assert lowest.version == 7
    assert (
        seals.get_lowest_id(now - timedelta(milliseconds=1))
        < lowest
        < seals.get_lowest_id(now + timedelta(milliseconds=2))
    )
