"""The progress of an import as a stream of events: it is read every half second, and no connection is kept between."""

import asyncio
from collections.abc import AsyncIterator

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.authz.access import OrgScope
from app.members.imports.queries import get_import
from app.members.imports.schemas import AWAITING_PEOPLE, ImportOut
from app.schema.admins import OrgAdmin
from app.schema.auth import Session
from app.web.event_stream import Event

PAUSE = 0.5


async def follow_import(engine: AsyncEngine, scope: OrgScope, first: ImportOut) -> AsyncIterator[Event]:
    """Events `progress`, each the import as JSON: at first and whenever it has changed.

    Ends when the import waits for a person or is over, and also where the caller's session has ended or they no longer
    administer the org.
    """
    yield _event(first)
    seen = first
    allowed = select(
        exists().where(Session.id == scope.user.session_id, Session.ended_at.is_(None), Session.expires_at > func.now())
        & exists().where(OrgAdmin.org_id == scope.org_id, OrgAdmin.user_id == scope.user.user_id)
    )
    while seen.state not in AWAITING_PEOPLE:
        await asyncio.sleep(PAUSE)
        async with engine.connect() as db:
            await db.execution_options(isolation_level="AUTOCOMMIT")
            if not await db.scalar(allowed):
                return
            found = await get_import(db, scope.org_id, first.id)
        if found != seen:
            seen = found
            yield _event(seen)


def _event(seen: ImportOut) -> Event:
    return Event("progress", seen.model_dump_json())
