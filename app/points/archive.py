"""The archive of old partitions of the ledger: the schema `archive`, which no query of the service reads.

A day is archived whole, and only if its stored sums agree with its events and no id occurs twice in it. The sums by
user and day stay in the database. An event of an archived day that is sent again is too old.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, timedelta

import asyncpg

from app.points.keys import MAX_EVENT_AGE_DAYS

MIN_ARCHIVE_AGE_DAYS = 62
"""Days that are younger than this are not archived: services send late events for thirty days, and learners see their
own points of two months by kind."""


class ArchiveMismatch(Exception):
    """The events of a day differ from its stored sums, or an id occurs twice. The day is not archived; the text says
    which."""


@dataclass(frozen=True, slots=True)
class ArchivedDay:
    """An archived day. Its partition of the ledger is now the table `name` in the schema `archive`."""

    day: date
    name: str
    events: int
    points: int


_PARTITIONS = """
SELECT c.relname AS name, to_date(right(c.relname, 8), 'YYYYMMDD') AS day
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'point_events'::regclass AND NOT i.inhdetachpending
ORDER BY 2
"""

_COUNT_EVENTS = "SELECT count(*) AS events, coalesce(sum(points), 0)::bigint AS points FROM partitions.{name}"

# The first statement compares the events of the day with the day rows plus the waiting deltas. The second one counts
# events with the id of another event of the day: the keys of the day are dropped by then (`keys`).
_COUNT_WRONG_SUMS = """
SELECT count(*) FROM (
    SELECT user_id, sum(points) AS points, count(*) AS events FROM partitions.{name} GROUP BY user_id
) AS l
FULL JOIN (
    SELECT user_id, sum(points) AS points, sum(events) AS events
    FROM (
        SELECT user_id, points, events FROM user_days WHERE day = $1
        UNION ALL
        SELECT w.user_id, w.points, 1
        FROM point_deltas AS f, unnest(f.user_ids, f.days, f.points) AS w (user_id, day, points) WHERE w.day = $1
    ) AS rows GROUP BY user_id
) AS k USING (user_id)
WHERE (l.points, l.events) IS DISTINCT FROM (k.points, k.events)
"""
_COUNT_REPEATED_IDS = """
SELECT coalesce(sum(events - 1), 0)::bigint FROM (
    SELECT count(*) AS events FROM partitions.{name} GROUP BY source, event_id HAVING count(*) > 1
) AS repeated
"""


async def archive_days(
    connection: asyncpg.Connection, today: date, before: date | None = None
) -> AsyncIterator[ArchivedDay]:
    """Move old days of the ledger into the schema `archive` and yield each of them, the oldest first.

    These are the days before `before` that are older than MIN_ARCHIVE_AGE_DAYS. The service can run: each day
    is verified, detached concurrently, counted again, and only then moved. A day that a killed run left half archived
    is finished first. Raises ArchiveMismatch.
    """
    last = min(
        before or date.max, today - timedelta(days=MAX_EVENT_AGE_DAYS + 1), today - timedelta(days=MIN_ARCHIVE_AGE_DAYS)
    )
    await connection.execute("CREATE SCHEMA IF NOT EXISTS archive")
    await _finish_interrupted_days(connection)
    for partition in await connection.fetch(_PARTITIONS):
        if partition["day"] < last:
            yield await _archive_day(connection, partition["name"], partition["day"])


async def _archive_day(connection: asyncpg.Connection, name: str, day: date) -> ArchivedDay:
    count_events = _COUNT_EVENTS.format(name=name)
    stored = await connection.fetchrow(count_events)
    for problem, statement, values in (
        ("user(s) whose sum of the day differs", _COUNT_WRONG_SUMS, (day,)),
        ("event(s) with the id of another", _COUNT_REPEATED_IDS, ()),
    ):
        wrong = await connection.fetchval(statement.format(name=name), *values)
        if wrong:
            raise ArchiveMismatch(f"{day}: {wrong} {problem}")
    await connection.execute(f"ALTER TABLE point_events DETACH PARTITION partitions.{name} CONCURRENTLY")
    if await connection.fetchrow(count_events) != stored:
        raise ArchiveMismatch(f"{day}: events came while it was archived")
    await connection.execute(f"ALTER TABLE partitions.{name} SET SCHEMA archive")
    return ArchivedDay(day, name, stored["events"], stored["points"])


_PENDING_DETACHES = """
SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'point_events'::regclass AND i.inhdetachpending
"""
_DETACHED = """
SELECT c.relname FROM pg_class AS c
WHERE c.relnamespace = 'partitions'::regnamespace AND c.relkind = 'r' AND c.relname LIKE 'point\\_events\\_%'
  AND NOT EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = c.oid)
"""


async def _finish_interrupted_days(connection: asyncpg.Connection) -> None:
    for row in await connection.fetch(_PENDING_DETACHES):
        await connection.execute(f"ALTER TABLE point_events DETACH PARTITION partitions.{row['relname']} FINALIZE")
    for row in await connection.fetch(_DETACHED):
        await connection.execute(f"ALTER TABLE partitions.{row['relname']} SET SCHEMA archive")
