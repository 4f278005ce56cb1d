"""Putting old partitions of the ledger away: out of every query's way, whole, and only where nothing is lost by it.

The sums by user and day stay, and so do the keys: an event of an archived day, sent again, is still a duplicate.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, timedelta

import asyncpg

from app.points.operations import DAYS_BACK

KEEP_DAYS = 62
"""Younger days than this stay: late events come for thirty days, and a learner looks at their days of two months."""


class NotAsKept(Exception):  # noqa: N818
    """A day's events are not what is kept of them elsewhere; carries what differs. The day stays where it is."""


@dataclass(frozen=True, slots=True)
class Archived:
    """A day put away, as the table `archive.<name>`."""

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

_COUNTED = "SELECT count(*) AS events, coalesce(sum(points), 0)::bigint AS points FROM partitions.{name}"

# The events of the day against the day rows with what waits, and every event against its key.
_SUMS_DIFFER = """
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
_WITHOUT_KEY = """
SELECT count(*) FROM partitions.{name} AS e
WHERE NOT EXISTS (SELECT FROM point_event_keys AS k WHERE k.source = e.source AND k.event_id = e.event_id)
"""


async def archive(connection: asyncpg.Connection, today: date, before: date | None = None) -> AsyncIterator[Archived]:
    """Detach every day before `before` (or older than KEEP_DAYS) into the schema `archive`, oldest first.

    Each by itself and with the service going on: a day is verified, detached concurrently, verified to be whole, and
    only then moved. What was left half done by a kill is finished first. Raises NotAsKept.
    """
    last = min(before or date.max, today - timedelta(days=DAYS_BACK + 1), today - timedelta(days=KEEP_DAYS))
    await connection.execute("CREATE SCHEMA IF NOT EXISTS archive")
    await _finish(connection)
    for partition in await connection.fetch(_PARTITIONS):
        if partition["day"] < last:
            yield await _archive_day(connection, partition["name"], partition["day"])


async def _archive_day(connection: asyncpg.Connection, name: str, day: date) -> Archived:
    counted = _COUNTED.format(name=name)
    held = await connection.fetchrow(counted)
    for what, statement, values in (
        ("user(s) whose sum of the day differs", _SUMS_DIFFER, (day,)),
        ("event(s) without a key", _WITHOUT_KEY, ()),
    ):
        wrong = await connection.fetchval(statement.format(name=name), *values)
        if wrong:
            raise NotAsKept(f"{day}: {wrong} {what}")
    await connection.execute(f"ALTER TABLE point_events DETACH PARTITION partitions.{name} CONCURRENTLY")
    if await connection.fetchrow(counted) != held:
        raise NotAsKept(f"{day}: events came while it was put away")
    await connection.execute(f"ALTER TABLE partitions.{name} SET SCHEMA archive")
    return Archived(day, name, held["events"], held["points"])


_HALF_DONE = """
SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'point_events'::regclass AND i.inhdetachpending
"""
_DETACHED = """
SELECT c.relname FROM pg_class AS c
WHERE c.relnamespace = 'partitions'::regnamespace AND c.relkind = 'r' AND c.relname LIKE 'point\\_events\\_%'
  AND NOT EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = c.oid)
"""


async def _finish(connection: asyncpg.Connection) -> None:
    for row in await connection.fetch(_HALF_DONE):
        await connection.execute(f"ALTER TABLE point_events DETACH PARTITION partitions.{row['relname']} FINALIZE")
    for row in await connection.fetch(_DETACHED):
        await connection.execute(f"ALTER TABLE partitions.{row['relname']} SET SCHEMA archive")
