"""An event counts once, however often and whenever it comes again; its key is dropped when it can no longer come."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor
from app.authz.access import ServiceScope
from app.core.calendar import SHANGHAI
from app.core.cipher import Cipher
from app.core.settings import Settings
from app.points import retention
from app.points.keys import MAX_EVENT_AGE_DAYS, PERIOD_DAYS, REMEMBERED_DAYS
from app.points.operations import record_point_events
from app.points.schemas import PointEventsCreate
from tests.clocks import connect_with_moved_clock, create_moved_clock, move_clock
from tests.conftest import migrated_database

PROOF = os.environ.get("XUEZU_PROOF") == "1"
DAYS = 200 if PROOF else 90
USER = UUID("01999999-0000-7000-8000-000000000001")
IS_WAITING = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'transactionid')"
SCOPE = ServiceScope("clock", frozenset(), Actor())


@pytest.fixture
async def ledger_url(server_url: str, worker_id: str) -> str:
    """Return the address of a new database with one user, who has been registered for a long time."""
    url = await asyncio.to_thread(migrated_database, server_url, f"xuezu_{worker_id}_keys")
    await create_moved_clock(url)
    connection = await asyncpg.connect(url)
    await connection.execute("INSERT INTO users (id, created_at) VALUES ($1, '2001-01-01')", USER)
    await connection.close()
    return url


@pytest.fixture
async def connection(ledger_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(ledger_url)
    yield connection
    await connection.close()


@pytest.fixture
def cipher(settings: Settings) -> Cipher:
    return Cipher(settings)


def make_event(event_id: str, at: datetime) -> dict[str, Any]:
    return {"event_id": event_id, "user_id": str(USER), "points": 1, "kind": "article", "occurred_at": at.isoformat()}


async def send(db: AsyncConnection, cipher: Cipher, *events: Mapping[str, Any]) -> list[str]:
    body = PointEventsCreate.model_validate({"events": [*events]})
    return await record_point_events(db, cipher, SCOPE, body.events)


async def find_repeated_ids(connection: asyncpg.Connection) -> Sequence[asyncpg.Record]:
    found: Sequence[asyncpg.Record] = await connection.fetch(
        "SELECT event_id, count(*) FROM point_events GROUP BY event_id, occurred_at HAVING count(*) > 1"
    )
    return found


async def find_first_boundary(connection: asyncpg.Connection) -> date:
    found: date = await connection.fetchval("SELECT max(before) FROM list_partitions('point_event_keys')")
    return found


def list_days(boundary: date) -> Iterator[int]:
    """Yield the days on which the test sends events: most, all of those near to a boundary of periods, in order."""
    first = datetime.now(SHANGHAI).date()
    for day in range(DAYS):
        since_boundary = (first + timedelta(days=day) - boundary).days % PERIOD_DAYS
        if PROOF or since_boundary in (PERIOD_DAYS - 1, 0, 1) or day % 3 == 0:
            yield day


async def test_events_sent_again_for_months_count_once_and_keys_are_dropped(
    ledger_url: str, connection: asyncpg.Connection, cipher: Cipher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each day, every event of the past days comes again, with its own time and with another one."""
    sent: dict[str, datetime] = {}
    arrived: dict[str, int] = {}
    most_partitions = 0
    async with connect_with_moved_clock(ledger_url) as engine:
        for day in list_days(await find_first_boundary(connection)):
            now = datetime.now(UTC) + timedelta(days=day)
            today = now.astimezone(SHANGHAI).date()
            new = {f"{day}-{n}": now - timedelta(days=n * 10) + timedelta(minutes=4) for n in range(3)}
            remembered = [event_id for event_id in sent if day - arrived[event_id] <= REMEMBERED_DAYS]
            async with engine.begin() as db:
                await move_clock(db, timedelta(days=day))
                assert await send(db, cipher, *(make_event(*each) for each in new.items())) == ["counted"] * 3
                again = await send(db, cipher, *(make_event(*each) for each in (sent | new).items()))
                for event_id, outcome in zip(sent | new, again, strict=True):
                    allowed = {"duplicate"} if event_id in remembered or event_id in new else {"duplicate", "too-old"}
                    assert outcome in allowed, (day, event_id)
                if remembered:
                    other_time = await send(db, cipher, *(make_event(event_id, now) for event_id in remembered))
                    assert set(other_time) == {"duplicate"}, "another time does not make it another event"
            sent |= new
            arrived |= dict.fromkeys(new, day)
            sent = {each: at for each, at in sent.items() if day - arrived[each] <= MAX_EVENT_AGE_DAYS + 20}
            monkeypatch.setattr(retention, "today", lambda today=today: today)
            async with engine.begin() as db:
                while await retention.drop_keys(db, 1):
                    pass
            partitions = await connection.fetch("SELECT since, before FROM list_partitions('point_event_keys')")
            most_partitions = max(most_partitions, len(partitions))
            assert all(each["before"] > today - timedelta(days=REMEMBERED_DAYS) for each in partitions)
    assert await find_repeated_ids(connection) == []
    assert most_partitions <= (PERIOD_DAYS + REMEMBERED_DAYS) // PERIOD_DAYS + 2
    assert await connection.fetchval("SELECT min(since) FROM point_event_keys") > date.today(), "old keys are dropped"


@pytest.mark.parametrize("minutes", [(-1, 1), (1, -1), (-1, 60 * 23), (60 * 23, 60 * 25)])
async def test_same_event_on_both_sides_of_a_boundary_of_periods_counts_once(
    ledger_url: str, connection: asyncpg.Connection, cipher: Cipher, minutes: tuple[int, int]
) -> None:
    """Two transactions send the same event at the same time, and the clocks of their servers differ by up to a day."""
    boundary = datetime.combine(await find_first_boundary(connection), datetime.min.time(), SHANGHAI)
    early, late = (boundary - datetime.now(UTC) + timedelta(minutes=each) for each in minutes)
    twice = make_event("twice", boundary - timedelta(hours=1))
    outcomes: list[str] = []
    async with connect_with_moved_clock(ledger_url, early) as one, connect_with_moved_clock(ledger_url, late) as other:
        for engine in (one, other):  # creates the partitions
            async with engine.begin() as db:
                await send(db, cipher, make_event(f"first-{engine is one}", boundary - timedelta(hours=1)))
        async with one.begin() as db:
            outcomes += await send(db, cipher, twice)

            async def send_again() -> None:
                async with other.begin() as second:
                    outcomes.extend(await send(second, cipher, twice))

            waiting = asyncio.create_task(send_again())
            async with asyncio.timeout(30):
                while not waiting.done() and not await connection.fetchval(IS_WAITING):  # noqa: ASYNC110 — a database
                    await asyncio.sleep(0.01)
            assert not waiting.done(), "the second transaction waits for the first one"
        await waiting
    assert outcomes == ["counted", "duplicate"]
    assert await find_repeated_ids(connection) == []


async def test_many_transactions_at_a_boundary_with_rollbacks_count_each_event_once(
    ledger_url: str, connection: asyncpg.Connection, cipher: Cipher
) -> None:
    """Senders with clocks before and after the boundary send the same events; some of them are ended in between."""
    boundary = datetime.combine(await find_first_boundary(connection), datetime.min.time(), SHANGHAI)
    at = boundary - timedelta(hours=30)
    ids = [f"raced-{n}" for n in range(60 if not PROOF else 600)]

    async def send_all(number: int) -> None:
        dice = random.Random(number)
        by = boundary - datetime.now(UTC) + timedelta(hours=(-1, -0.01, 0.01, 20)[number % 4])
        async with connect_with_moved_clock(ledger_url, by) as engine:
            waiting = list(ids)
            while waiting:
                batch = dice.sample(waiting, min(len(waiting), dice.randrange(1, 12)))
                connection_ = await engine.connect()
                transaction = await connection_.begin()
                await send(connection_, cipher, *(make_event(each, at) for each in batch))
                if dice.random() < 0.3:
                    # The process is killed before the commit: PostgreSQL ends the transaction of a lost connection.
                    await connection_.invalidate()
                else:
                    await transaction.commit()
                    waiting = [each for each in waiting if each not in batch]
                await connection_.close()

    await asyncio.gather(*map(send_all, range(4)))
    counted = await connection.fetch("SELECT event_id, count(*) AS times FROM point_events GROUP BY event_id")
    assert {row["event_id"]: row["times"] for row in counted} == dict.fromkeys(ids, 1)


async def test_release_without_periods_counts_no_event_of_this_release_again(
    ledger_url: str, connection: asyncpg.Connection, cipher: Cipher
) -> None:
    """While releases change, the one before inserts keys without a period into the same partition."""
    async with connect_with_moved_clock(ledger_url, timedelta()) as engine, engine.begin() as db:
        assert await send(db, cipher, make_event("new", datetime.now(UTC))) == ["counted"]
    old = "INSERT INTO point_event_keys (source, event_id) VALUES ('clock', $1) ON CONFLICT DO NOTHING RETURNING 1"
    assert await connection.fetchval(old, "new") is None
    assert await connection.fetchval(old, "old") == 1
    async with connect_with_moved_clock(ledger_url, timedelta(days=PERIOD_DAYS)) as engine, engine.begin() as db:
        await db.execute(text("SELECT 1"))
        assert await send(db, cipher, make_event("old", datetime.now(UTC))) == ["duplicate"]
