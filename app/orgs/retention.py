"""Temporary branches past their last day: the admins get one message. The unit and its people do not change."""

from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.database.retention import CleanUp
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


CLEAN_UPS = (
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
