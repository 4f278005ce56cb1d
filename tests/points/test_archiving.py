"""Old days of the ledger are archived whole, one by one; no event is lost or counted twice."""

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import asyncpg
import pytest

from app.core.calendar import today
from app.points.archive import MIN_ARCHIVE_AGE_DAYS, ArchiveMismatch, archive_days
from tests.acts import get_body
from tests.people import People, Person
from tests.points.services import PointsService, event


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def insert_old_event(ledger: asyncpg.Connection, service: PointsService, person: Person, day: date) -> str:
    """Insert an event of an old day with its key and its day row, as after a rollup. Return its id."""
    event_id = f"long-ago-{person.user_id}-{day}"
    await ledger.execute("SELECT make_partition('point_events', $1, $1::date + 1)", day)
    month = day.replace(day=1)
    await ledger.execute("SELECT make_partition('user_days', $1, ($1::date + interval '1 month')::date)", month)
    await ledger.execute(
        "INSERT INTO point_events (user_id, day, source, event_id, points, kind, occurred_at) "
        "VALUES ($1, $2, $3, $4, 7, 'article', $2::date::timestamptz)",
        person.user_id,
        day,
        service.source,
        event_id,
    )
    await ledger.execute("INSERT INTO point_event_keys VALUES ($1, $2)", service.source, event_id)
    await ledger.execute("INSERT INTO user_days VALUES ($1, $2, 7, 1)", person.user_id, day)
    return event_id


async def archive_old_days(ledger: asyncpg.Connection, **options: Any) -> list[tuple[date, int, int]]:
    return [(each.day, each.events, each.points) async for each in archive_days(ledger, today(), **options)]


async def test_archived_days_stay_counted_and_reject_repeated_events(
    people: People, service: PointsService, ledger: asyncpg.Connection
) -> None:
    person = await people.register(verified=False, party=False)
    old, older = today() - timedelta(days=MIN_ARCHIVE_AGE_DAYS + 1), today() - timedelta(days=MIN_ARCHIVE_AGE_DAYS + 9)
    ids = [await insert_old_event(ledger, service, person, day) for day in (old, older)]
    assert await service.outcomes(event(person.user_id, points=1)) == ["counted"]
    assert await archive_old_days(ledger, before=old) == [(older, 1, 7)]
    assert await archive_old_days(ledger) == [(old, 1, 7)], "what is younger stays"
    assert await archive_old_days(ledger) == []
    assert await ledger.fetchval(f"SELECT sum(points) FROM archive.point_events_{old:%Y%m%d}") == 7
    with pytest.raises(asyncpg.PostgresError, match="point_events"):
        await ledger.execute(f"DELETE FROM archive.point_events_{old:%Y%m%d}")
    for event_id in ids:
        assert await service.outcomes(event(person.user_id) | {"event_id": event_id}) == ["duplicate"]
    mine = get_body(await person.get("/v1/me/points", params={"until": str(old), "days": 92}))
    assert mine["total"] == 15
    assert [(each["day"], each["points"], each["kinds"]) for each in mine["days"]] == [
        (str(old), 7, {}),
        (str(older), 7, {}),
    ]


async def test_day_with_wrong_sums_is_not_archived(
    people: People, service: PointsService, ledger: asyncpg.Connection
) -> None:
    person = await people.register(verified=False, party=False)
    day = today() - timedelta(days=MIN_ARCHIVE_AGE_DAYS + 20)
    await insert_old_event(ledger, service, person, day)
    for damage in ("UPDATE user_days SET points = 8 WHERE user_id = $1", "DELETE FROM user_days WHERE user_id = $1"):
        await ledger.execute(damage, person.user_id)
        with pytest.raises(ArchiveMismatch, match=f"{day}: 1 user"):
            await archive_old_days(ledger)
    assert await ledger.fetchval("SELECT count(*) FROM point_events WHERE user_id = $1", person.user_id) == 1
    await ledger.execute("INSERT INTO user_days VALUES ($1, $2, 7, 1)", person.user_id, day)
    assert await archive_old_days(ledger) == [(day, 1, 7)]


async def test_day_with_a_repeated_id_is_not_archived_and_interrupted_archive_is_finished(
    people: People, service: PointsService, ledger: asyncpg.Connection
) -> None:
    person = await people.register(verified=False, party=False)
    day = today() - timedelta(days=MIN_ARCHIVE_AGE_DAYS + 30)
    await insert_old_event(ledger, service, person, day)
    name = f"point_events_{day:%Y%m%d}"
    await ledger.execute(
        f"INSERT INTO partitions.{name} (user_id, day, source, event_id, points, kind, occurred_at) "
        "SELECT user_id, day, source, event_id, 1, kind, now() FROM point_events WHERE user_id = $1 AND day = $2",
        person.user_id,
        day,
    )
    await ledger.execute("UPDATE user_days SET points = 8, events = 2 WHERE user_id = $1", person.user_id)
    with pytest.raises(ArchiveMismatch, match="1 event"):
        await archive_old_days(ledger)
    # This is the state after a kill between detaching and moving the partition.
    await ledger.execute(f"ALTER TABLE point_events DETACH PARTITION partitions.{name} CONCURRENTLY")
    assert await archive_old_days(ledger) == []
    assert await ledger.fetchval(f"SELECT count(*) FROM archive.{name}") == 2
