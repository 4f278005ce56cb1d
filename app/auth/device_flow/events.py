"""The event stream of a console that waits for a scan: the present state of its authorization, then each new state."""

import json
import time
from collections.abc import AsyncIterator
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.auth.device_flow.tickets import STATE_COLUMNS
from app.auth.device_flow.watch import SignInWatch
from app.schema.sign_in import DeviceAuthorization
from app.web.event_stream import Event

_FINAL_STATES = frozenset({"approved", "refused", "redeemed", "expired"})


async def stream_sign_in_events(
    engine: AsyncEngine, watch: SignInWatch, authorization_id: UUID
) -> AsyncIterator[Event]:
    """Yield an event with the present state of an authorization, then an event for each new state. The stream ends with
    the last state, or when the authorization expires."""
    with watch.subscribe(authorization_id) as waiter:
        state, seconds_left = await _read_state(engine, authorization_id)
        ends_at = time.monotonic() + seconds_left
        yield _build_event(state)
        while state not in _FINAL_STATES:
            before = state
            try:
                received = await waiter.wait_for_state(ends_at - time.monotonic())
            except TimeoutError:
                state = "expired"
            else:
                state = received or (await _read_state(engine, authorization_id))[0]
            if state != before:
                yield _build_event(state)


_STATE = select(*STATE_COLUMNS).where(DeviceAuthorization.id == bindparam("authorization_id"))


async def _read_state(engine: AsyncEngine, authorization_id: UUID) -> tuple[str, float]:
    """Return the state and the seconds until the authorization expires."""
    async with engine.connect() as db:
        row = (await db.execute(_STATE, {"authorization_id": authorization_id})).one_or_none()
    if row is None:
        return "expired", 0.0
    return row.state, row.expires_at.timestamp() - time.time()


def _build_event(state: str) -> Event:
    return Event(state, json.dumps({"state": state}))
