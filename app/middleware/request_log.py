"""The request id, and one log line for each request."""

import re
import secrets
import time
from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.logs import PERSONAL, REQUEST_ID, log
from app.web.request_state import get_request_state

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


_WORD = re.compile(r"[a-z][a-z0-9._-]{0,31}", re.ASCII)


_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


_UNLOGGED_PATHS = {"/livez", "/readyz"}


class RequestLog:
    """Set the id of each request (`RequestState.request_id`, `X-Request-Id`) and write its log line."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _get_request_id(scope)
        state = get_request_state(scope)
        state.request_id = request_id
        started = time.perf_counter()
        status, answered = 500, False

        async def send_and_observe(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], (b"x-request-id", request_id.encode())]}
            elif message["type"] == "http.response.body":
                answered = not message.get("more_body", False)
            await send(message)

        bound = REQUEST_ID.set(request_id)
        try:
            await self.app(scope, receive, send_and_observe)
        except Exception:
            # Starlette raises an error again after its handler has logged and answered it: one log entry is enough.
            if not answered:
                raise
        finally:
            if scope["path"] not in _UNLOGGED_PATHS or status >= 400:
                milliseconds = round((time.perf_counter() - started) * 1000, 1)
                refusal = {} if state.refusal is None else {"refusal": state.refusal}
                log.info(
                    "request",
                    method=scope["method"],
                    path=redact_path(scope),
                    status=status,
                    ms=milliseconds,
                    **refusal,
                )
            REQUEST_ID.reset(bound)


def redact_path(scope: Scope) -> str:
    """Return the path for the log: literal words and ids unchanged; tokens, names and everything else as `…`."""
    parameters: Mapping[str, Any] = scope.get("path_params", {})
    given = parameters.values()
    return "/".join(
        part if part == "" or (_WORD.fullmatch(part) and part not in given) or _UUID.fullmatch(part) else "…"
        for part in scope["path"].split("/")
    )


def _get_request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given: str = value.decode("latin-1")
            if _REQUEST_ID.fullmatch(given) and not PERSONAL.search(given):
                return given
    return secrets.token_hex(8)
