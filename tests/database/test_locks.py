"""Advisory locks: one enum has every key; the service and the database functions use the same keys."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from pgqueuer.adapters.persistence.schema_plan import advisory_key
from pgqueuer.domain.settings import DBSettings
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.database.locks import Lock, LockObject, lock, lock_shared, try_lock

ROOT = Path(__file__).parents[2]
IN_FUNCTIONS = {
    "certifications_hierarchy": Lock.HIERARCHY,
    "orgs_closing": Lock.HIERARCHY,
    "create_partition": Lock.PARTITION,
    "claim_idempotency_key": Lock.IDEMPOTENCY_KEY,
}
"""The advisory lock that each database function takes."""
CALL = re.compile(r"advisory\w+\((?:hashtextextended\(\w+, (?P<seed>\d+)\)|(?P<key>\d+))\)")

OBJECTS: dict[Lock, LockObject] = {
    Lock.PHONE: b"\x00\xff" * 16,
    Lock.IMPORTS: uuid4(),
    Lock.EXPORT: uuid4(),
    Lock.IDEMPOTENCY_KEY: b"digest",
    Lock.PARTITION: "point_events_20990101",
}


@pytest.fixture
async def owner(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    async with engine.begin() as db:
        yield db


@pytest.fixture
async def other(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    async with engine.begin() as db:
        await db.execute(text("SET LOCAL lock_timeout = '100ms'"))
        yield db


def test_lock_numbers_are_unique() -> None:
    assert len(Lock.__members__) == len({which.value for which in Lock.__members__.values()})


def test_only_the_locks_module_takes_advisory_locks() -> None:
    takers = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "app").rglob("*")
        if path.suffix in {".py", ".sql"} and re.search(r"pg_(try_)?advisory", path.read_text("utf-8"))
    }
    assert takers == {"app/database/locks.py"}


def test_every_lock_is_documented() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", (ROOT / "docs" / "LOCKING.md").read_text("utf-8"), re.MULTILINE)
    assert {name: int(number) for name, number in rows} == {which.name: which.value for which in Lock}


async def test_database_functions_use_the_numbers_of_the_enum(owner: AsyncConnection) -> None:
    found = await owner.execute(
        text("SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosrc ~ 'advisory'")
    )
    taken = {}
    for name, source in found:
        (call,) = CALL.finditer(source)
        assert source.count("advisory") == 1
        taken[name] = Lock(int(call["seed"] or call["key"]))
        assert taken[name].has_object == (call["seed"] is not None)
    assert taken == IN_FUNCTIONS


async def test_advisory_locks_of_the_queue_use_other_numbers(owner: AsyncConnection) -> None:
    statistics = await owner.scalar(text("SELECT hashtext('pgqueuer_statistics')"))
    assert not {statistics, advisory_key(DBSettings())} & set(Lock)


@pytest.mark.parametrize("which", Lock)
async def test_lock_is_exclusive_until_the_transaction_ends(
    engine: AsyncEngine, other: AsyncConnection, which: Lock
) -> None:
    of = OBJECTS.get(which)
    async with engine.begin() as owner:
        await lock(owner, which, of)
        assert not await try_lock(other, which, of)
        for another in Lock:
            if another is not which:  # both use the same object if they have one
                assert await try_lock(other, another, of if another.has_object and of else OBJECTS.get(another))
    assert await try_lock(other, which, of)


async def test_shared_locks_are_compatible_and_exclusive_lock_waits(
    owner: AsyncConnection, other: AsyncConnection
) -> None:
    await lock_shared(owner, Lock.INDEX_KEY)
    await lock_shared(other, Lock.INDEX_KEY)
    assert not await try_lock(other, Lock.INDEX_KEY)


async def test_locks_of_two_objects_do_not_conflict(owner: AsyncConnection, other: AsyncConnection) -> None:
    await lock(owner, Lock.IMPORTS, uuid4())
    assert await try_lock(other, Lock.IMPORTS, uuid4())


async def test_lock_that_needs_an_object_fails_without_one(owner: AsyncConnection) -> None:
    with pytest.raises(ValueError, match="PHONE"):
        await lock(owner, Lock.PHONE)
    with pytest.raises(ValueError, match="HIERARCHY"):
        await lock(owner, Lock.HIERARCHY, "an org")


async def test_partition_is_created_under_its_lock(engine: AsyncEngine, owner: AsyncConnection) -> None:
    async def make() -> None:
        async with engine.begin() as db:
            await db.execute(text("SELECT make_partition('point_events', '2099-01-01', '2099-01-02')"))
            await db.rollback()

    await lock(owner, Lock.PARTITION, "point_events_20990101")
    making = asyncio.create_task(make())
    done, _ = await asyncio.wait({making}, timeout=0.3)
    assert not done
    await owner.rollback()
    await making
