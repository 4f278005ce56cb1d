"""The console's waiting stream (SSE). It holds no connection of the pool while it waits."""

import json
import time
from collections.abc import AsyncIterator
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from sse_starlette import EventSourceResponse, ServerSentEvent

from app.auth.device_tickets import WAIT_COLUMNS
from app.auth.tables import DeviceAuthorization
from app.auth.waiting import SignInWatch, Step

_LAST = frozenset({"approved", "refused", "redeemed", "expired"})
_KEEP_ALIVE_SECONDS = 15.0


def sign_in_events(engine: AsyncEngine, watch: SignInWatch, authorization_id: UUID) -> EventSourceResponse:
    """The stream of one authorization's steps: what it is at once, then each as it comes, until the last."""
    # The stream breathes by itself: a task for it alone would cost every waiting console its memory.
    return EventSourceResponse(_steps(engine, watch, authorization_id), ping=0)


async def _steps(engine: AsyncEngine, watch: SignInWatch, authorization_id: UUID) -> AsyncIterator[ServerSentEvent]:
    with watch.waiting(authorization_id) as waiter:
        step, seconds_left = await _look(engine, authorization_id)
        ends_at = time.monotonic() + seconds_left
        yield _event(step)
        while step.state not in _LAST:
            left = ends_at - time.monotonic()
            if left <= 0:
                step = Step("expired")
                yield _event(step)
                continue
            try:
                told = await waiter.next(min(left, _KEEP_ALIVE_SECONDS))
            except TimeoutError:
                yield ServerSentEvent(comment="")
                continue
            before = step
            step = told or (await _look(engine, authorization_id))[0]
            if step != before:
                yield _event(step)


async def _look(engine: AsyncEngine, authorization_id: UUID) -> tuple[Step, float]:
    statement = select(*WAIT_COLUMNS).where(DeviceAuthorization.id == authorization_id)
    async with engine.connect() as db:
        row = (await db.execute(statement)).one_or_none()
    if row is None:
        return Step("expired"), 0.0
    return Step(row.state, row.match_number), row.expires_at.timestamp() - time.time()


def _event(step: Step) -> ServerSentEvent:
    data = {"state": step.state} | ({} if step.number is None else {"match_number": step.number})
    return ServerSentEvent(json.dumps(data), event=step.state)
