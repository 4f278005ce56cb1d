"""Writing points: one statement a batch."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import recorded_by_statement
from app.authz.access import ServiceScope
from app.core.cipher import Cipher
from app.points.schemas import PointEvent

DAYS_BACK = 30

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# Times beyond these (µs since 1970) are refused as well as these are, and fit into every calendar and zone.
_LONG_AGO = (datetime(2000, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_FAR_AHEAD = (datetime(2999, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND

# The worker makes the partitions of days ahead; where none runs, the first event of a day makes that day's.
# A plan made for any batch takes it to be of a few events and compares each of a thousand with every other (measured:
# three times the whole statement's work). Planning anew costs a hundredth of that.
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

_RECORDED = recorded_by_statement(
    "point_events.counted",
    "point_events",
    after="jsonb_build_object('counted', count(*), 'sent', CAST(:sent AS int))",
    source="FROM counted HAVING count(*) > 0",
)

# Of events with one id in a batch the first that can be counted is. Keys are taken in the order of the ids, so that
# batches that share some wait for each other and never in a circle. A refused event that had been counted before is
# called what it is: a duplicate.
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
        SELECT *, timestamptz 'epoch' + microseconds * interval '1 microsecond' AS at
        FROM unnest(
            CAST(:event_ids AS text[]), CAST(:user_ids AS uuid[]), CAST(:phones AS bytea[]),
            CAST(:points AS int[]), CAST(:kinds AS text[]), CAST(:microseconds AS bigint[])
        ) WITH ORDINALITY AS batch (event_id, user_id, phone_index, points, kind, microseconds, n)
    ) AS s
    LEFT JOIN users AS by_id ON by_id.id = s.user_id
    LEFT JOIN users AS by_phone ON by_phone.phone_index = s.phone_index
),
countable AS MATERIALIZED (
    SELECT DISTINCT ON (event_id) n, event_id, user_id, day, points, kind, at
    FROM sent WHERE refusal IS NULL ORDER BY event_id, n
),
keyed AS (
    INSERT INTO point_event_keys (source, event_id) SELECT :client_id, event_id FROM countable
    ON CONFLICT DO NOTHING RETURNING event_id
),
counted AS MATERIALIZED (SELECT c.* FROM countable AS c JOIN keyed USING (event_id)),
written AS (
    INSERT INTO point_events (user_id, day, source, event_id, points, kind, occurred_at)
    SELECT user_id, day, :client_id, event_id, points, kind, at FROM counted
),
facts AS (
    INSERT INTO point_facts (user_ids, days, points)
    SELECT array_agg(user_id), array_agg(day), array_agg(points) FROM counted HAVING count(*) > 0
),
{recorded}
SELECT array_agg(
    CASE
        WHEN c.n IS NOT NULL THEN 'counted'
        WHEN s.refusal IS NULL THEN 'duplicate'
        WHEN EXISTS (SELECT FROM point_event_keys AS k WHERE k.source = :client_id AND k.event_id = s.event_id)
        THEN 'duplicate'
        ELSE s.refusal
    END
    ORDER BY s.n
)
FROM sent AS s LEFT JOIN counted AS c USING (n)
""".replace("{recorded}", _RECORDED)
_RECORD = text(_SQL)
# While the index key is rotated a phone is found by either key.
_RECORD_BY_EITHER = text(
    _SQL.replace(
        "by_phone.phone_index = s.phone_index", "by_phone.phone_index = ANY (ARRAY[s.phone_index, s.next_index])"
    )
    .replace("batch (event_id, user_id, phone_index,", "batch (event_id, user_id, phone_index, next_index,")
    .replace("CAST(:phones AS bytea[]),", "CAST(:phones AS bytea[]), CAST(:next_phones AS bytea[]),")
)


async def record_point_events(
    db: AsyncConnection, cipher: Cipher, scope: ServiceScope, events: Sequence[PointEvent]
) -> list[str]:
    """Count a batch of events: those that can be are. Returns what became of each (an `Outcome`), in their order.

    The source is the client itself, so that no service can use up another's ids. Ledger, key, the fact that the
    totals are rolled up from, audit entry and outgoing event are one statement's and commit together.
    """
    times = [(event["occurred_at"] - _EPOCH) // _MICROSECOND for event in events]
    first, last = min(times), max(times)
    if first < _LONG_AGO or last > _FAR_AHEAD:
        times = [min(max(at, _LONG_AGO), _FAR_AHEAD) for at in times]
        first, last = min(times), max(times)
    await db.execute(_PREPARE, {"first": first, "last": last, "days_back": DAYS_BACK})
    phones = [cipher.phone_index(phone) if (phone := event.get("phone")) else None for event in events]
    statement, either = _RECORD, {}
    if cipher.rotating:
        statement = _RECORD_BY_EITHER
        either = {"next_phones": [phone and cipher.reindex(phone) for phone in phones]}
    outcomes: list[str] = (
        await db.execute(
            statement,
            either
            | {
                "client_id": scope.client_id,
                "days_back": DAYS_BACK,
                "event_ids": [event["event_id"] for event in events],
                "user_ids": [event.get("user_id") for event in events],
                "phones": phones,
                "points": [event["points"] for event in events],
                "kinds": [event["kind"] for event in events],
                "microseconds": times,
                "sent": len(events),
                "address": scope.actor.address,
                "request_id": scope.actor.request_id,
            },
        )
    ).scalar_one()
    return outcomes
