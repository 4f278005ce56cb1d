"""Scheduled work on orgs: messages about temporary branches past their last day, and sort keys that are missing."""

from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.core.sort_keys import make_sort_key
from app.database.retention import CleanUp, Schedule
from app.messages.delivery import add_message_to_admins
from app.messages.kinds import MessageKind

_REPORT = text("""
UPDATE units SET end_reported_at = now()
WHERE (org_id, id) IN (
    SELECT org_id, id FROM units
    WHERE last_day < (now() AT TIME ZONE 'Asia/Shanghai')::date AND end_reported_at IS NULL AND removed_at IS NULL
    ORDER BY last_day LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
)
RETURNING org_id, id, last_day
""")


async def report_ended_branches(db: AsyncConnection, limit: int) -> int:
    """Tell the admins of temporary branches that have ended, and record it. Return the number of branches.

    The message does not name the branch: admins who need a security key read messages without it (S16).
    """
    ended = (await db.execute(_REPORT, {"limit": limit})).all()
    for unit in ended:
        after = {"last_day": unit.last_day.isoformat()}
        await record(db, Actor(), "unit.ended", org_id=unit.org_id, subject=("unit", unit.id), after=after)
        await add_message_to_admins(db, unit.org_id, MessageKind.UNIT_ENDED, actor_id=None)
    return len(ended)


_WITHOUT_KEY = text("""
SELECT id, name FROM orgs WHERE sort_key = '' ORDER BY id LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
""")
_SET_KEYS = text("""
UPDATE orgs SET sort_key = given.sort_key
FROM unnest(CAST(:ids AS uuid[]), CAST(:keys AS text[])) AS given (id, sort_key) WHERE orgs.id = given.id
""")


async def write_sort_keys(db: AsyncConnection, limit: int) -> int:
    """Write the sort keys of orgs from before the column (migration 0040). Return the number of orgs."""
    orgs = (await db.execute(_WITHOUT_KEY, {"limit": limit})).all()
    if orgs:
        keys = [make_sort_key(org.name) for org in orgs]
        await db.execute(_SET_KEYS, {"ids": [org.id for org in orgs], "keys": keys})
    return len(orgs)


CLEAN_UPS = (
    CleanUp(
        name="sort-keys",
        deletes="nothing: it writes the sort key of an org from before lists by name went by pinyin",
        tables=(),
        after=timedelta(0),
        since="the org has none",
        run=write_sort_keys,
        schedule=Schedule.EVERY_TEN_MINUTES,
        batch=500,
    ),
    CleanUp(
        name="ended-temporary-branches",
        deletes="nothing: it tells the admins of a temporary branch that it has ended",
        tables=(),
        after=timedelta(0),
        since="the last day of the branch is over",
        run=report_ended_branches,
        batch=500,
    ),
)
