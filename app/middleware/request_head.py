"""The head of a request: its path as it was sent, headers that are not repeated, and HEAD where GET is."""

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.middleware.refusals import build_refusal
from app.web.errors import RepeatedHeader

SINGLE = frozenset(
    {
        *(b"authorization", b"content-encoding", b"content-length", b"content-type", b"host", b"idempotency-key"),
        *(b"if-match", b"if-none-match", b"last-event-id", b"origin", b"transfer-encoding", b"x-request-id"),
        b"xuezu-person-address",
    }
)
"""Headers that are refused if they are sent twice."""

_SEPARATORS = tuple(f"%{code:02x}".encode() for code in (*range(0x20), ord("/"), ord("\\"), 0x7F))


class RequestHead:
    """Middleware for the line and the headers of a request.

    It refuses repeated headers (400). It leaves a path undecoded that has an encoded separator (`%2F`), so that the
    route does not change. It answers HEAD as GET without a body.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        names = [name for name, _ in scope["headers"]]
        if len(names) != len(set(names)):
            repeated = next((name for name in names if name in SINGLE and names.count(name) > 1), None)
            if repeated is not None:
                problem = RepeatedHeader(header=repeated.decode("ascii", "replace"))
                await build_refusal(Request(scope), problem)(scope, receive, send)
                return
        raw_path: bytes = scope.get("raw_path") or b""
        if b"%" in raw_path and any(separator in raw_path.lower() for separator in _SEPARATORS):
            # Decoded, `%2F` would begin another segment, and `%0A` end the path for a regular expression.
            scope["path"] = raw_path.decode("ascii")
        if scope["method"] == "HEAD":
            await self._answer_head(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _answer_head(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the GET request would be answered; the server leaves the body out. A stream ends at its head."""
        started = ended = False

        async def end_at_first_part(message: Message) -> None:
            nonlocal started, ended
            if message["type"] == "http.response.start":
                started = True
                await send(message)
            elif not ended:
                ended = True
                await send({**message, "more_body": False})

        async def receive_nothing() -> Message:
            return {"type": "http.disconnect"}

        read = {**scope, "method": "GET"}
        try:
            await self.app(read, receive_nothing, end_at_first_part)
            if started and not ended:
                await send({"type": "http.response.body", "body": b""})
        finally:
            # The layers around this one read the route and its parameters from the scope.
            scope.update({name: read[name] for name in ("path_params", "route") if name in read})
