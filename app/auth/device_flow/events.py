"""The console's waiting stream (SSE). It holds no connection of the pool while it waits.

Ten thousand consoles wait on one process: the stream is written straight to the server's `send`, with one small task
beside it that notices when the browser has gone. (Measured over 3,000: 34 KB a console; with the task group of
a general SSE response 50 KB.)
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.auth.device_flow.tickets import WAIT_COLUMNS
from app.auth.device_flow.watch import SignInWatch, Step, Waiter
from app.schema.auth import DeviceAuthorization

_LAST = frozenset({"approved", "refused", "redeemed", "expired", "gone"})
_GONE = Step("gone")
_KEEP_ALIVE_SECONDS = 15.0
_COMMENT = b":\r\n\r\n"


def sign_in_events(engine: AsyncEngine, watch: SignInWatch, authorization_id: UUID) -> "SignInStream":
    """The answer that streams one authorization's steps."""
    return SignInStream(engine, watch, authorization_id)


class SignInStream(Response):
    """The stream of one authorization's steps: what it is at once, then each as it comes, until the last."""

    media_type = "text/event-stream"

    def __init__(self, engine: AsyncEngine, watch: SignInWatch, authorization_id: UUID) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._engine = engine
        self._watch = watch
        self._id = authorization_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        with self._watch.waiting(self._id) as waiter:
            leaving = asyncio.create_task(_tell_when_gone(receive, waiter))
            try:
                async for chunk in self._chunks(waiter):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            finally:
                leaving.cancel()
                with suppress(asyncio.CancelledError):
                    await leaving
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _chunks(self, waiter: Waiter) -> AsyncIterator[bytes]:
        step, seconds_left = await _look(self._engine, self._id)
        ends_at = time.monotonic() + seconds_left
        yield _event(step)
        while step.state not in _LAST:
            left = ends_at - time.monotonic()
            if left <= 0:
                yield _event(Step("expired"))
                return
            try:
                told = await waiter.next(min(left, _KEEP_ALIVE_SECONDS))
            except TimeoutError:
                yield _COMMENT
                continue
            before = step
            step = told or (await _look(self._engine, self._id))[0]
            if step not in (before, _GONE):
                yield _event(step)


async def _tell_when_gone(receive: Receive, waiter: Waiter) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    waiter.put(_GONE)


async def _look(engine: AsyncEngine, authorization_id: UUID) -> tuple[Step, float]:
    statement = select(*WAIT_COLUMNS).where(DeviceAuthorization.id == authorization_id)
    async with engine.connect() as db:
        row = (await db.execute(statement)).one_or_none()
    if row is None:
        return Step("expired"), 0.0
    return Step(row.state, row.match_number), row.expires_at.timestamp() - time.time()


def _event(step: Step) -> bytes:
    data = {"state": step.state} | ({} if step.number is None else {"match_number": step.number})
    return f"event: {step.state}\r\ndata: {json.dumps(data)}\r\n\r\n".encode()
