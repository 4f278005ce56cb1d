"""Structured logs: for people in development, JSON in production, and never a phone or an ID number in either.

What people send stays out by construction: no query string, no body, no header, no text of an exception that may
quote data. Whatever looks like a phone or an ID number all the same is blanked in every value before it is written.
"""

import logging
import re
import secrets
import sys
import time
import traceback
from collections.abc import Mapping, MutableMapping
from typing import Any
from uuid import UUID

import orjson
import structlog
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.typing import EventDict, Processor

from app.body_limit import BodyLimitTold
from app.dispatch import Dispatch

log = structlog.get_logger()

BLANK = "▒"
# A mainland mobile number, and an ID number of 15 or 18 places, neither inside a longer run of letters or digits.
_PERSONAL = re.compile(r"(?<![0-9A-Za-z])(?:\+?(?:86)?1[3-9]\d{9}|\d{17}[\dXx]|\d{15})(?![0-9A-Za-z])", re.ASCII)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_WORD = re.compile(r"[a-z][a-z0-9._-]{0,31}", re.ASCII)
# Their text speaks of code. The text of other exceptions may quote what somebody sent.
_TEXT_OF_CODE = (AttributeError, ImportError, NameError, NotImplementedError, RecursionError, TypeError)
_QUIET = {"/livez", "/readyz"}


def configure(log_format: str, *, process: str) -> None:
    """Send this process's logs, those of libraries included, to stdout as `console` or `json` lines."""
    shared, render = _processors(log_format == "console", process)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)


def _processors(console: bool, process: str) -> tuple[list[Processor], Processor]:
    shared: list[Processor] = [
        merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper("%H:%M:%S" if console else "iso", utc=not console),
        lambda _logger, _name, event: {"process": process, **event},
        _without_quotes,
    ]
    if console:
        colors, plain = sys.stdout.isatty(), structlog.dev.plain_traceback
        return shared, structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)
    return shared, structlog.processors.JSONRenderer(serializer=_json)


def install(app: FastAPI) -> ASGIApp:
    """Wrap the finished app, error handling included, so that every answer and every line carries its request id.

    Gives what the app now answers with. A middleware cannot be added to it afterwards.
    """
    if not structlog.is_configured():
        # In somebody else's process (a test, a script) nothing is set up but what is kept out of every line.
        shared, render = _processors(console=True, process="app")
        structlog.configure(processors=[*shared, render])
    app.middleware_stack = RequestLog(Dispatch(app, BodyLimitTold(app.build_middleware_stack())))
    return app.middleware_stack


class RequestLog:
    """Gives each request its id (`request.state.request_id`, `X-Request-Id`) and writes its one line."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.perf_counter()
        status, answered = 500, False

        async def observed(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], (b"x-request-id", request_id.encode())]}
            elif message["type"] == "http.response.body":
                answered = not message.get("more_body", False)
            await send(message)

        with bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, observed)
            except Exception:
                # Starlette raises again what its error handler has logged and answered: once is enough.
                if not answered:
                    raise
            finally:
                if scope["path"] not in _QUIET or status >= 400:
                    milliseconds = round((time.perf_counter() - started) * 1000, 1)
                    log.info("request", method=scope["method"], path=path_of(scope), status=status, ms=milliseconds)


def path_of(scope: Scope) -> str:
    """The path as it may be written down: its literal words and ids; `…` for tokens, names and whatever else."""
    parameters: Mapping[str, Any] = scope.get("path_params", {})
    said = {str(value) for value in parameters.values()}
    shown = []
    for part in scope["path"].split("/"):
        plain = part == "" or (part not in said and _WORD.fullmatch(part))
        shown.append(part if plain or _is_id(part) else "…")
    return "/".join(shown)


def _is_id(part: str) -> bool:
    try:
        return len(part) == 36 and str(UUID(part)) == part.lower()
    except ValueError:
        return False


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given: str = value.decode("latin-1")
            if _REQUEST_ID.fullmatch(given) and not _PERSONAL.search(given):
                return given
    return secrets.token_hex(8)


def _without_quotes(_logger: object, _name: str, event: EventDict) -> EventDict:
    """Blank what looks like a phone or an ID number, and show exceptions without the text that may quote one."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    elif isinstance(error, tuple):
        error = error[1]
    for name, value in event.items():
        if not name.startswith("_") and name not in {"request_id", "timestamp"}:
            event[name] = blanked(value)
    if isinstance(error, BaseException):
        event["exception"] = traceback_of(error)
    return event


def blanked(value: Any) -> Any:
    """The value with phones and ID numbers blanked in all its strings and integers."""
    if isinstance(value, str):
        return _PERSONAL.sub(BLANK, value)
    if isinstance(value, Mapping):
        return {blanked(key): blanked(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [blanked(item) for item in value]
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return BLANK if _PERSONAL.fullmatch(str(value)) else value
    return _PERSONAL.sub(BLANK, str(value))


def traceback_of(error: BaseException) -> str:
    """The traceback with every cause, and of each exception its class; its text only where that speaks of code."""
    lines: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        text = f": {blanked(str(current))}" if isinstance(current, _TEXT_OF_CODE) else ""
        kind = type(current)
        frames = "".join(traceback.format_tb(current.__traceback__))
        lines.append(f"{frames}{kind.__module__}.{kind.__qualname__}{text}")
        if current.__cause__ is not None or current.__suppress_context__:
            current = current.__cause__
        else:
            current = current.__context__
    return "\n\nwhich came from:\n\n".join(lines)


def _json(event: MutableMapping[str, Any], **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()
