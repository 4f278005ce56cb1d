"""Writing points: one statement a batch."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, TextClause, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import recorded_by_statement
from app.authz.access import ServiceScope
from app.core.cipher import Cipher
from app.points.schemas import Outcome, PointEvent

DAYS_BACK = 30

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# Times beyond these (µs since 1970) are refused as well as these are, and fit into every calendar and zone.
_LONG_AGO = (datetime(2000, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_FAR_AHEAD = (datetime(2999, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND

_SAVEPOINT = text("SAVEPOINT batch")
_BACK_TO_SAVEPOINT = text("ROLLBACK TO SAVEPOINT batch")

# The worker makes the partitions of days ahead; where none runs, the first event of a day makes that day's.
# A plan made for any batch takes few of its events to be countable and compares each of a thousand with every other
# (measured: three times the whole statement's work). Planning anew costs a hundredth of that.
_PREPARE = text("""
SELECT set_config('plan_cache_mode', 'force_custom_plan', true), (
    SELECT count(make_partition('point_events', day::date, day::date + 1))
    FROM generate_series(
        greatest(day_of(to_timestamp(CAST(:first AS bigint) / 1000000)), day_of(now()) - CAST(:days_back AS int)),
        least(day_of(to_timestamp(CAST(:last AS bigint) / 1000000)), day_of(now()) + 1),
        interval '1 day'
    ) AS day
)
""")

# Each column of the batch comes as one text, its values divided by spaces, which no value holds: the driver spends
# more on an array of a thousand values than PostgreSQL on dividing the text.
# A refused event that had been counted before is called what it is: a duplicate.
_SQL = """
WITH sent AS MATERIALIZED (
    SELECT s.n, s.event_id, s.points, s.kind, s.at, day_of(s.at) AS day, coalesce(by_id.id, by_phone.id) AS user_id,
        CASE
            WHEN s.at > now() + interval '5 minutes' THEN 'in-the-future'
            WHEN s.at < (
                SELECT CAST(day_of(now()) - CAST(:days_back AS int) AS timestamp) AT TIME ZONE 'Asia/Shanghai'
            ) THEN 'too-old'
            WHEN coalesce(by_id.id, by_phone.id) IS NULL THEN 'unknown-user'
            WHEN by_id.status = 'closed' THEN 'closed-account'
        END AS refusal
    FROM (
        SELECT n, event_id, kind, CAST(user_id AS uuid) AS user_id, CAST(points AS int) AS points,
            decode(phone_index, 'hex') AS phone_index, decode(next_index, 'hex') AS next_index,
            timestamptz 'epoch' + CAST(microseconds AS bigint) * interval '1 microsecond' AS at
        FROM ROWS FROM (
            string_to_table(CAST(:event_ids AS text), ' '),
            string_to_table(CAST(:user_ids AS text), ' ', ''),
            string_to_table(CAST(:phones AS text), ' ', ''),
            string_to_table(CAST(:next_phones AS text), ' ', ''),
            string_to_table(CAST(:points AS text), ' '),
            string_to_table(CAST(:kinds AS text), ' '),
            string_to_table(CAST(:microseconds AS text), ' ')
        ) WITH ORDINALITY AS batch (event_id, user_id, phone_index, next_index, points, kind, microseconds, n)
    ) AS s
    LEFT JOIN users AS by_id ON by_id.id = s.user_id
    LEFT JOIN users AS by_phone ON {by_phone}
),
{counted},
written AS (
    INSERT INTO point_events (user_id, day, source, event_id, points, kind, occurred_at)
    SELECT user_id, day, :client_id, event_id, points, kind, at FROM counted
),
facts AS (
    INSERT INTO point_deltas (user_ids, days, points)
    SELECT array_agg(user_id), array_agg(day), array_agg(points) FROM counted HAVING count(*) > 0
),
{recorded}
SELECT s.n, CASE
    WHEN s.refusal IS NULL THEN 'duplicate'
    WHEN EXISTS (SELECT FROM point_event_keys AS k WHERE k.source = :client_id AND k.event_id = s.event_id)
    THEN 'duplicate'
    ELSE s.refusal
END
FROM sent AS s {not_counted}
"""

# For a batch of new events: every one that is not refused is counted. Where one had been counted before its key
# violates the primary key, and where a day has no partition that is a violation too: nothing is written. The ledger
# waits for the keys, so that a batch sent again leaves no dead rows there. `ON CONFLICT` costs twice a plain insert,
# and to join what it inserted costs as much again (measured: 3 of 14 ms).
_ALL_COUNTED = """
keyed AS (
    INSERT INTO point_event_keys (source, event_id)
    SELECT :client_id, event_id FROM sent WHERE refusal IS NULL ORDER BY event_id COLLATE "C"
    RETURNING 1
),
counted AS NOT MATERIALIZED (SELECT * FROM sent WHERE refusal IS NULL AND (SELECT count(*) FROM keyed) > 0)
"""

# For any batch. Of events with one id the first that can be counted is.
_NEW_COUNTED = """
countable AS MATERIALIZED (
    SELECT DISTINCT ON (event_id COLLATE "C") n, event_id, user_id, day, points, kind, at
    FROM sent WHERE refusal IS NULL ORDER BY event_id COLLATE "C", n
),
keyed AS (
    INSERT INTO point_event_keys (source, event_id) SELECT :client_id, event_id FROM countable
    ON CONFLICT DO NOTHING RETURNING event_id
),
counted AS MATERIALIZED (SELECT c.* FROM countable AS c JOIN keyed USING (event_id))
"""


def _statements(counted: str, not_counted: str) -> dict[bool, TextClause]:
    """The statement for when the index key is not rotated, and for when it is: a phone is then found by either key."""
    recorded = recorded_by_statement(
        "point_events.counted",
        "point_events",
        after="jsonb_build_object('counted', count(*), 'sent', CAST(:sent AS int))",
        source="FROM counted HAVING count(*) > 0",
    )
    sql = _SQL.replace("{counted}", counted).replace("{recorded}", recorded).replace("{not_counted}", not_counted)
    either = "by_phone.phone_index = ANY (ARRAY[s.phone_index, s.next_index])"
    found_by = {False: "by_phone.phone_index = s.phone_index", True: either}
    return {rotating: text(sql.replace("{by_phone}", condition)) for rotating, condition in found_by.items()}


# Both take keys in the order of the ids, so that batches that share some wait for each other and never in a circle.
_RECORD_NEW = _statements(_ALL_COUNTED, "WHERE s.refusal IS NOT NULL")
_RECORD_ANY = _statements(_NEW_COUNTED, "LEFT JOIN counted AS c USING (n) WHERE c.n IS NULL")


async def record_point_events(
    db: AsyncConnection, cipher: Cipher, scope: ServiceScope, events: Sequence[PointEvent]
) -> list[str]:
    """Count a batch of events: those that can be are. Returns what became of each (an `Outcome`), in their order.

    The source is the client itself, so that no service can use up another's ids. Ledger, key, the fact that the
    totals are rolled up from, audit entry and outgoing event are one statement's and commit together.
    """
    ids = [event["event_id"] for event in events]
    times = [(event["occurred_at"] - _EPOCH) // _MICROSECOND for event in events]
    first, last = min(times), max(times)
    if first < _LONG_AGO or last > _FAR_AHEAD:
        times = [min(max(at, _LONG_AGO), _FAR_AHEAD) for at in times]
        first, last = min(times), max(times)
    batch = _phones(cipher, events) | {
        "client_id": scope.client_id,
        "days_back": DAYS_BACK,
        "event_ids": " ".join(ids),
        "user_ids": " ".join([event.get("user_id") or "" for event in events]),
        "points": " ".join([str(event["points"]) for event in events]),
        "kinds": " ".join([event["kind"] for event in events]),
        "microseconds": " ".join(map(str, times)),
        "sent": len(events),
        "address": scope.actor.address,
        "request_id": scope.actor.request_id,
    }
    refused = None
    if len(set(ids)) == len(ids):
        refused = await _record_new(db, _RECORD_NEW[cipher.rotating], batch)
    if refused is None:
        await db.execute(_PREPARE, {"first": first, "last": last, "days_back": DAYS_BACK})
        refused = (await db.execute(_RECORD_ANY[cipher.rotating], batch)).all()
    outcomes: list[str] = [Outcome.COUNTED.value] * len(events)
    for n, outcome in refused:
        outcomes[n - 1] = outcome
    return outcomes


async def _record_new(
    db: AsyncConnection, statement: TextClause, batch: Mapping[str, Any]
) -> Sequence[Row[int, str]] | None:
    """Record a batch without doubles. Gives what was refused, by its number; None, and nothing is written, where
    an event was counted before or a day has no partition.
    """
    await db.execute(_SAVEPOINT)
    try:
        return (await db.execute(statement, batch)).all()
    except IntegrityError:
        await db.execute(_BACK_TO_SAVEPOINT)
        return None


def _phones(cipher: Cipher, events: Sequence[PointEvent]) -> dict[str, str]:
    """The columns of the phones' blind indexes, by the next index key too while one is to follow."""
    phones = [event.get("phone") for event in events]
    if not any(phones):
        return {"phones": "", "next_phones": ""}
    indexes = [cipher.phone_index(phone) if phone else None for phone in phones]
    following = [index and cipher.reindex(index) for index in indexes] if cipher.rotating else []
    return {"phones": _joined(indexes), "next_phones": _joined(following)}


def _joined(indexes: Sequence[bytes | None]) -> str:
    return " ".join([index.hex() if index else "" for index in indexes])
