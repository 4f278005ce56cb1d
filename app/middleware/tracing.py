"""The span of each request: the outermost layer, so that its time contains all others."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.logs import TRACE_ID
from app.tracing.spans import SPAN, Span, get_tracer

_UNTRACED_PATHS = frozenset({"/livez", "/readyz"})


class Tracing:
    """Trace each request, below the `traceparent` of its caller (W3C Trace Context)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        tracer = get_tracer()
        if tracer is None or scope["type"] != "http" or scope["path"] in _UNTRACED_PATHS:
            await self.app(scope, receive, send)
            return
        span = tracer.start_request(_get_traceparent(scope))
        bound, bound_id = SPAN.set(span), TRACE_ID.set(span.trace_id)
        try:
            if span.is_recorded:
                await self._record(span, scope, receive, send)
            else:
                await self.app(scope, receive, send)
        finally:
            SPAN.reset(bound)
            TRACE_ID.reset(bound_id)

    async def _record(self, span: Span, scope: Scope, receive: Receive, send: Send) -> None:
        status, ended = 0, False

        def end() -> None:
            # FastAPI and the fast path write the route into the scope when they have found it.
            span.end_request(scope["method"], getattr(scope.get("route"), "path_format", None), status)

        async def send_and_observe(message: Message) -> None:
            nonlocal status, ended
            if message["type"] == "http.response.start":
                status = message["status"]
                # A stream is open for hours; its span ends where it begins.
                if any(value.startswith(b"text/event-stream") for _, value in message["headers"]):
                    ended = True
                    end()
            await send(message)

        try:
            await self.app(scope, receive, send_and_observe)
        finally:
            if not ended:
                end()


def _get_traceparent(scope: Scope) -> str | None:
    """Return the header, or None if there is none or more than one."""
    found = [value for name, value in scope["headers"] if name == b"traceparent"]
    return found[0].decode("latin-1") if len(found) == 1 else None
