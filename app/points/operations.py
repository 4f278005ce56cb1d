"""Writes of points. One statement records a batch."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, TextClause, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import build_audit_ctes
from app.authz.access import ServiceScope
from app.core.cipher import Cipher
from app.points.keys import IS_IN_OLDER_PERIOD, MAX_EVENT_AGE_DAYS, OPEN_PERIODS, PERIOD_DAYS
from app.points.schemas import Outcome, PointEvent

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# Times outside these limits (µs since 1970) are replaced by the limits: both are refused in the same way, and the
# limits are valid in every calendar and zone.
_MIN_TIME = (datetime(2000, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_MAX_TIME = (datetime(2999, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND

_SAVEPOINT = text("SAVEPOINT batch")
_ROLLBACK_TO_SAVEPOINT = text("ROLLBACK TO SAVEPOINT batch")

# The worker creates the partitions of future days. If no worker runs, the first event of a day creates the partition.
# A generic plan assumes that few events of a batch can be counted, and compares each of a thousand events with every
# other one (measured: three times the work of the whole statement). A new plan costs a hundredth of that.
# ruff: noqa: S608 — the SQL is built from constants only
_PREPARE_DAYS = text(f"""
SELECT set_config('plan_cache_mode', 'force_custom_plan', true), (
    SELECT count(make_partition('point_event_keys', since, since + {PERIOD_DAYS})) FROM {OPEN_PERIODS} AS open
), (
    SELECT count(make_partition('point_events', day::date, day::date + 1))
    FROM generate_series(
        greatest(day_of(to_timestamp(CAST(:first AS bigint) / 1000000)), day_of(now()) - CAST(:days_back AS int)),
        least(day_of(to_timestamp(CAST(:last AS bigint) / 1000000)), day_of(now()) + 1),
        interval '1 day'
    ) AS day
)
""")

# Each column of the batch is one text whose values are separated by spaces; no value contains a space. The driver
# spends more time on an array of a thousand values than PostgreSQL spends on splitting the text.
# A refused event that was counted before is reported as a duplicate.
#
# A phone means the user who had it when the event occurred (`now_with`: and has it still). If no user had it at that
# instant, it means one who had it on that day, the one before the event first (`then_with`). An account that was closed
# since then is not found by its phone any more. `then_with` is a subquery that only such events run; OFFSET 0 prevents
# that it is written out in each place that reads its result.
_RECORD = """
WITH sent AS MATERIALIZED (
    SELECT s.n, s.event_id, s.points, s.kind, s.at, day_of(s.at) AS day, s.found_id AS user_id,
        CASE
            WHEN s.at > now() + interval '5 minutes' THEN 'in-the-future'
            WHEN s.at < (
                SELECT CAST(day_of(now()) - CAST(:days_back AS int) AS timestamp) AT TIME ZONE 'Asia/Shanghai'
            ) THEN 'too-old'
            WHEN s.found_id IS NULL THEN 'unknown-user'
            WHEN s.status = 'closed' THEN 'closed-account'
            WHEN {in_older_period} THEN 'duplicate'
        END AS refusal
    FROM (
        SELECT s.*, by_id.status,
            coalesce(by_id.id, now_with.id, CASE WHEN s.user_id IS NULL THEN {then_with} END) AS found_id
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
        LEFT JOIN users AS now_with ON {now_with} AND coalesce(now_with.phone_since, now_with.created_at) <= s.at
        OFFSET 0
    ) AS s
),
{counted},
events AS (
    INSERT INTO point_events (user_id, day, source, event_id, points, kind, occurred_at)
    SELECT user_id, day, :client_id, event_id, points, kind, at FROM counted
),
deltas AS (
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

_THEN_WITH = """(
            SELECT h.user_id FROM (
                SELECT u.id AS user_id, coalesce(u.phone_since, u.created_at) AS since FROM users AS u
                WHERE {by_index} AND day_of(coalesce(u.phone_since, u.created_at)) = day_of(s.at)
                UNION ALL
                SELECT u.user_id, u.since FROM user_phones AS u
                WHERE {by_index} AND day_of(s.at) BETWEEN day_of(u.since) AND day_of(u.until)
                  AND EXISTS (SELECT FROM users AS o WHERE o.id = u.user_id AND o.status <> 'closed')
            ) AS h
            ORDER BY h.since <= s.at DESC, abs(extract(epoch FROM s.at - h.since)) LIMIT 1
        )"""

# For a batch of new events: every event that is not refused is counted. If one of them was counted before, its key
# violates the primary key; if a day or period has no partition, that is a violation too. In both cases nothing is
# written. The events are inserted after the keys, so that a repeated batch leaves no dead rows in the ledger.
# `ON CONFLICT` costs twice as much as a plain insert, and a join with the inserted rows costs as much again (measured:
# 3 of 14 ms).
_COUNT_ALL = f"""
keyed AS (
    INSERT INTO point_event_keys (source, event_id, since)
    SELECT :client_id, event_id, since FROM sent, {OPEN_PERIODS} AS open WHERE refusal IS NULL
    ORDER BY since, event_id COLLATE "C"
    RETURNING 1
),
counted AS NOT MATERIALIZED (SELECT * FROM sent WHERE refusal IS NULL AND (SELECT count(*) FROM keyed) > 0)
"""

# For any batch. If several events have the same id, the first one that can be counted is counted. It is new if no open
# period had its key. A key that only one of two open periods had is then in both, which changes nothing.
_COUNT_NEW = f"""
countable AS MATERIALIZED (
    SELECT DISTINCT ON (event_id COLLATE "C") n, event_id, user_id, day, points, kind, at
    FROM sent WHERE refusal IS NULL ORDER BY event_id COLLATE "C", n
),
keyed AS (
    INSERT INTO point_event_keys (source, event_id, since)
    SELECT :client_id, event_id, since FROM countable, {OPEN_PERIODS} AS open ORDER BY since, event_id COLLATE "C"
    ON CONFLICT DO NOTHING RETURNING event_id
),
counted AS MATERIALIZED (
    SELECT c.* FROM countable AS c JOIN (
        SELECT event_id FROM keyed GROUP BY event_id HAVING count(*) = (SELECT count(*) FROM {OPEN_PERIODS} AS open)
    ) AS keyed USING (event_id)
)
"""


def _build_statements(counted: str, not_counted: str) -> dict[bool, TextClause]:
    """Return two statements by whether the index key is being rotated; if it is, a phone is found by either key."""
    recorded = build_audit_ctes(
        "point_events.counted",
        "point_events",
        after="jsonb_build_object('counted', count(*), 'sent', CAST(:sent AS int))",
        source="FROM counted HAVING count(*) > 0",
    )
    sql = _RECORD.replace("{counted}", counted).replace("{recorded}", recorded).replace("{not_counted}", not_counted)
    sql = sql.replace("{in_older_period}", IS_IN_OLDER_PERIOD)
    by_index = {
        False: "{}.phone_index = s.phone_index",
        True: "{}.phone_index = ANY (ARRAY[s.phone_index, s.next_index])",
    }
    return {
        rotating: text(
            sql.replace("{now_with}", by.format("now_with")).replace(
                "{then_with}", _THEN_WITH.replace("{by_index}", by.format("u"))
            )
        )
        for rotating, by in by_index.items()
    }


# Both statements insert keys in the order of the periods and ids. So batches with common ids wait for each other and
# never deadlock.
_RECORD_NEW = _build_statements(_COUNT_ALL, "WHERE s.refusal IS NOT NULL")
_RECORD_ANY = _build_statements(_COUNT_NEW, "LEFT JOIN counted AS c USING (n) WHERE c.n IS NULL")


async def record_point_events(
    db: AsyncConnection, cipher: Cipher, scope: ServiceScope, events: Sequence[PointEvent]
) -> list[str]:
    """Record a batch of events and return the `Outcome` of each, in their order.

    The source of the events is the client itself, so that no service can use up the ids of another. One statement
    writes events, keys, the delta for the rollup, audit entry and outgoing event, so they commit together. It locks
    the inserted keys: a batch with the same ids waits until this transaction ends.
    """
    ids = [event["event_id"] for event in events]
    times = [(event["occurred_at"] - _EPOCH) // _MICROSECOND for event in events]
    first, last = min(times), max(times)
    if first < _MIN_TIME or last > _MAX_TIME:
        times = [min(max(at, _MIN_TIME), _MAX_TIME) for at in times]
        first, last = min(times), max(times)
    batch = _build_phone_columns(cipher, events) | {
        "client_id": scope.client_id,
        "days_back": MAX_EVENT_AGE_DAYS,
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
        refused = await _record_new(db, _RECORD_NEW[cipher.is_rotating], batch)
    if refused is None:
        await db.execute(_PREPARE_DAYS, {"first": first, "last": last, "days_back": MAX_EVENT_AGE_DAYS})
        refused = (await db.execute(_RECORD_ANY[cipher.is_rotating], batch)).all()
    outcomes: list[str] = [Outcome.COUNTED.value] * len(events)
    for n, outcome in refused:
        outcomes[n - 1] = outcome
    return outcomes


async def _record_new(
    db: AsyncConnection, statement: TextClause, batch: Mapping[str, Any]
) -> Sequence[Row[int, str]] | None:
    """Record a batch in which no id occurs twice. Return number and outcome of each refused event.

    Return None and write nothing if an event was counted before or a day has no partition.
    """
    await db.execute(_SAVEPOINT)
    try:
        return (await db.execute(statement, batch)).all()
    except IntegrityError:
        await db.execute(_ROLLBACK_TO_SAVEPOINT)
        return None


def _build_phone_columns(cipher: Cipher, events: Sequence[PointEvent]) -> dict[str, str]:
    """Return the columns of the phones' blind indexes; during a rotation of the index key also the
    indexes that the next key gives."""
    phones = [event.get("phone") for event in events]
    if not any(phones):
        return {"phones": "", "next_phones": ""}
    indexes = [cipher.index_phone(phone) if phone else None for phone in phones]
    next_indexes = [index and cipher.reindex_value(index) for index in indexes] if cipher.is_rotating else []
    return {"phones": _join_hex(indexes), "next_phones": _join_hex(next_indexes)}


def _join_hex(indexes: Sequence[bytes | None]) -> str:
    return " ".join([index.hex() if index else "" for index in indexes])
