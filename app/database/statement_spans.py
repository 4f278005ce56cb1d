"""The spans of statements, from the two layers that run them: the driver's connection, and SQLAlchemy's engine, which
prepares its statements and so does not use the connection's methods for them.

Both are used only where traces are on.
"""

import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg

from app.tracing.spans import SPAN

if TYPE_CHECKING:
    from sqlalchemy import Connection, ExceptionContext
    from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")

_BEGAN = "xuezu_statement_began"


class TracedConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection with a span for each statement below that of its request or job."""

    __slots__ = ()

    async def fetch(self, query: str, *args: Any, **options: Any) -> list[asyncpg.Record]:
        return await _trace(query, super().fetch(query, *args, **options))

    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        return await _trace(query, super().execute(query, *args, **options))

    async def executemany(self, command: str, args: Any, **options: Any) -> None:
        await _trace(command, super().executemany(command, args, **options))


async def _trace(statement: str, running: Awaitable[T]) -> T:
    span = SPAN.get()
    if span is None or not span.is_recorded:
        return await running
    began = time.monotonic()
    try:
        result = await running
    except BaseException as error:
        span.add_statement(statement, time.monotonic() - began, error)
        raise
    span.add_statement(statement, time.monotonic() - began)
    return result


def trace_statements(engine: "AsyncEngine") -> None:
    """Add a span for each statement of SQLAlchemy on this engine."""
    from sqlalchemy import event  # the command line, which loads this module, does without it

    event.listen(engine.sync_engine, "before_cursor_execute", _begin)
    event.listen(engine.sync_engine, "after_cursor_execute", _end)
    event.listen(engine.sync_engine, "handle_error", _fail)


def _begin(connection: "Connection", *_: object) -> None:
    span = SPAN.get()
    if span is not None and span.is_recorded:
        connection.info[_BEGAN] = time.monotonic()


def _end(connection: "Connection", _cursor: object, statement: str, *rest: Any) -> None:
    _add(connection, statement, None, many=bool(rest[-1]))


def _fail(context: "ExceptionContext") -> None:
    if context.connection is not None and context.statement is not None:
        _add(context.connection, context.statement, context.original_exception)


def _add(connection: "Connection", statement: str, error: BaseException | None, *, many: bool = False) -> None:
    began, span = connection.info.pop(_BEGAN, None), SPAN.get()
    if began is not None and span is not None and not many:  # the connection does that
        span.add_statement(statement, time.monotonic() - began, error)
