"""A call during which another transaction changes what the call has already read."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

_IS_WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE :pid = ANY (pg_blocking_pids(pid))")

Act = Callable[[], Awaitable[httpx.Response]]


async def answer_after_change(
    engine: AsyncEngine, act: Act, *changes: str, parameters: Mapping[str, Any]
) -> httpx.Response:
    """Return the answer of a call that begins before a transaction with these changes commits.

    The transaction commits once the call waits for its locks, or has been answered without waiting.
    """
    async with engine.connect() as changing:
        for change in changes:
            clause = text(change)
            await changing.execute(clause, {name: parameters[name] for name in clause.compile().params})
        pid = await changing.scalar(text("SELECT pg_backend_pid()"))
        answering = asyncio.ensure_future(act())
        async with engine.connect() as watching:
            for _ in range(200):
                if answering.done() or await watching.scalar(_IS_WAITING, {"pid": pid}):
                    break
                await watching.rollback()
                await asyncio.sleep(0.02)
        await changing.commit()
    return await answering
