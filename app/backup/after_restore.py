"""What a restored database needs before writers are let in."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import func, update

from app.audit_log.entries import Actor, record
from app.backup.repository import BackupFailed
from app.blind_index.key_checks import require_keys
from app.core.settings import Settings
from app.database.connections import Database, Role
from app.database.db import create_engine
from app.reports.rollup.verify import find_differences
from app.schema.auth import Session

Show = Callable[[str], None]


async def prepare(settings: Settings, instant: datetime | None, show: Show, *, keep_sessions: bool) -> None:
    """Check the keys and the totals, end all sessions, and record the restore in the audit.

    Sessions that were ended after the instant are live in the restored data, a stolen phone's among them, so all are
    ended unless `keep_sessions`. Raises CannotStart if a key does not fit, and BackupFailed if totals are wrong.
    """
    show("Comparing the keys with the data")
    await require_keys(settings)
    show("Comparing the totals with a recount")
    await _require_totals(settings)
    engine = create_engine(settings)
    try:
        async with engine.begin() as db:
            ended = 0
            if not keep_sessions:
                ending = update(Session).where(Session.ended_at.is_(None), Session.expires_at > func.now())
                ended = (await db.execute(ending.values(ended_at=func.now()))).rowcount
                show(f"Ended {ended} sessions: everybody signs in again.")
            after = {"to": instant.isoformat() if instant else None, "sessions_ended": ended}
            await record(db, Actor(), "database.restored", subject=("database", None), after=after)
    finally:
        await engine.dispose()


async def _require_totals(settings: Settings) -> None:
    connection = await Database.from_settings(settings).connect(Role.REPORT)
    try:
        async for difference in find_differences(connection):
            raise BackupFailed(
                f"The totals of the restored data differ from a recount ({difference.kind}): `xuezu totals verify` "
                "shows all, `xuezu totals rebuild` mends them."
            )
    finally:
        await connection.close()
