"""The span of the present request or job. Without XUEZU_OTLP_URL there is none, and nothing here costs anything."""

import asyncio
import importlib
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Protocol

from app.core.logs import TRACE_ID
from app.core.settings import CannotStart, Settings


class Span(Protocol):
    """A request or a job. It is recorded and exported, or it only carries its ids."""

    trace_id: str
    """32 hexadecimal digits."""
    traceparent: str
    """The ids and the decision whether to record, as the header of W3C Trace Context has them."""
    is_recorded: bool

    def add_statement(self, statement: str, seconds: float, error: BaseException | None = None) -> None:
        """Add a span below this one for a statement that has just ended; of a statement only its name is kept."""

    def end_request(self, method: str, route: str | None, status: int) -> None:
        """End the span of a request. `route` is the template of the address; `status` is 0 if there was no answer."""

    def end_job(self, error: str | None) -> None:
        """End the span of a job. `error` is the class of the exception that it failed with."""


class Tracer(Protocol):
    """The source of spans."""

    def start_request(self, traceparent: str | None) -> Span:
        """Start the span of a request; `traceparent` is the header of the caller."""

    def start_job(self, name: str, traceparent: str | None) -> Span:
        """Start the span of a job; `traceparent` is that of the request or job that enqueued it."""

    def stop(self) -> None:
        """Export what is recorded and end, within some seconds."""


SPAN: ContextVar[Span | None] = ContextVar("span", default=None)
"""The span of the present request or job."""

STOP_SECONDS = 2.0


class _Process:
    """The tracer of this process, while `export_traces` runs. As the logs, it is one for all of the process."""

    tracer: Tracer | None = None


def get_tracer() -> Tracer | None:
    """Return the tracer of this process, or None if traces are off."""
    return _Process.tracer


def require_tracing(settings: Settings) -> None:
    """Raise CannotStart if traces are wanted and the packages of `xuezu[otel]` are not installed."""
    if settings.otlp_url is not None:
        _load_export()


@asynccontextmanager
async def export_traces(settings: Settings, process: str) -> AsyncIterator[None]:
    """Export the traces of this process to XUEZU_OTLP_URL during the block; without it, do nothing.

    `process` is `api` or `worker`. At the end, what is recorded is sent, for at most STOP_SECONDS.
    """
    if settings.otlp_url is None:
        yield
        return
    make_tracer = _load_export().OtlpTracer
    tracer: Tracer = make_tracer(settings.otlp_url, settings.trace_share, process)
    before, _Process.tracer = _Process.tracer, tracer
    try:
        yield
    finally:
        _Process.tracer = before
        await _stop(tracer)


@contextmanager
def trace_job(name: str, traceparent: str | None) -> Iterator[None]:
    """Trace a job during the block."""
    tracer = get_tracer()
    if tracer is None:
        yield
        return
    span = tracer.start_job(name, traceparent)
    bound, bound_id = SPAN.set(span), TRACE_ID.set(span.trace_id)
    failure: str | None = None
    try:
        yield
    except BaseException as error:
        # The queue's own exceptions hide the cause, whose class says more.
        failure = type(error.__context__ or error).__name__
        raise
    finally:
        SPAN.reset(bound)
        TRACE_ID.reset(bound_id)
        span.end_job(failure)


async def _stop(tracer: Tracer) -> None:
    # A daemon: a collector that does not answer must not keep the process.
    thread = threading.Thread(target=tracer.stop, name="traces", daemon=True)
    thread.start()
    until = time.monotonic() + STOP_SECONDS
    while thread.is_alive() and time.monotonic() < until:  # noqa: ASYNC110 — a thread has no event to wait for
        await asyncio.sleep(0.02)


def _load_export() -> ModuleType:
    try:
        return importlib.import_module("app.tracing.export")
    except ModuleNotFoundError as error:
        raise CannotStart(
            f"XUEZU_OTLP_URL needs the packages of xuezu[otel], and {error.name} is not installed here: install them, "
            "or unset it."
        ) from error
