"""The progress of an import as a stream of events. It is read every half second, with a new connection each time."""

import asyncio
from collections.abc import AsyncIterator

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.authz.access import OrgScope
from app.members.imports.queries import get_import
from app.members.imports.schemas import STATES_WITHOUT_JOB, ImportOut
from app.schema.admins import OrgAdmin
from app.schema.auth import Session
from app.web.event_stream import Event

POLL_SECONDS = 0.5


async def follow_import(engine: AsyncEngine, scope: OrgScope, first: ImportOut) -> AsyncIterator[Event]:
    """Yield an event `progress` with the import as JSON, at the start and after each change.

    The stream ends when no job works on the import, when the caller's session ends, or when the caller is no longer
    an admin of the org.
    """
    yield _make_event(first)
    latest = first
    allowed = select(
        exists().where(Session.id == scope.user.session_id, Session.ended_at.is_(None), Session.expires_at > func.now())
        & exists().where(OrgAdmin.org_id == scope.org_id, OrgAdmin.user_id == scope.user.user_id)
    )
    while latest.state not in STATES_WITHOUT_JOB:
        await asyncio.sleep(POLL_SECONDS)
        async with engine.connect() as db:
            await db.execution_options(isolation_level="AUTOCOMMIT")
            if not await db.scalar(allowed):
                return
            found = await get_import(db, scope.org_id, first.id)
        if found != latest:
            latest = found
            yield _make_event(latest)


def _make_event(found: ImportOut) -> Event:
    return Event("progress", found.model_dump_json())
