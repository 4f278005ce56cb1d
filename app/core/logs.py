"""Structured logs: readable text in development, JSON in production. Neither contains phones or ID numbers.

No log line has a query string, a body, a header, or the text of an exception that may quote data. In addition, every
value that looks like a phone or an ID number is blanked before it is written.
"""

import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor

log = structlog.get_logger()

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the current request. Every log line of the request has it."""
TRACE_ID: ContextVar[str | None] = ContextVar("trace_id", default=None)
"""The id of the current trace, where traces are on (`app.tracing`). Every log line of the request or job has it."""

BLANK = "▒"
# A mainland mobile number, and an ID number of 15 or 18 places, neither inside a longer run of letters or digits.
PERSONAL = re.compile(r"(?<![0-9A-Za-z])(?:\+?(?:86)?1[3-9]\d{9}|\d{17}[\dXx]|\d{15})(?![0-9A-Za-z])", re.ASCII)
_UNTOUCHED = frozenset({"request_id", "timestamp", "trace_id"})
_SHORTEST, _SMALLEST = 11, 10**10  # length of the shortest match, and the smallest match as a number
# The text of these exceptions describes code. The text of others may quote data that a caller sent.
_TEXT_OF_CODE = (AttributeError, ImportError, NameError, NotImplementedError, RecursionError, TypeError)


def configure(log_format: str, *, process: str) -> None:
    """Send the logs of this process and of its libraries to stdout as `console` or `json` lines."""
    shared, render = build_processors(log_format == "console", process)
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


def configure_if_unconfigured() -> None:
    """Install the blanking of personal data in a process that has not configured its logs (a test, a script)."""
    if not structlog.is_configured():
        shared, render = build_processors(console=True, process="app")
        structlog.configure(processors=[*shared, render])


def build_processors(console: bool, process: str) -> tuple[list[Processor], Processor]:
    def add_context(_logger: object, _name: str, event: EventDict) -> EventDict:
        request_id = REQUEST_ID.get()
        if request_id is not None:
            event.setdefault("request_id", request_id)
        trace_id = TRACE_ID.get()
        if trace_id is not None:
            event["trace_id"] = trace_id
        return {"process": process, **event}

    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper("%H:%M:%S" if console else "iso", utc=not console),
        add_context,
        _remove_personal_data,
    ]
    if console:
        colors, plain = sys.stdout.isatty(), structlog.dev.plain_traceback
        return shared, structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)
    return shared, structlog.processors.JSONRenderer(serializer=_to_json)


def _remove_personal_data(_logger: object, _name: str, event: EventDict) -> EventDict:
    """Blank phones and ID numbers, and replace exceptions by tracebacks without text that may quote one."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    elif isinstance(error, tuple):
        error = error[1]
    for name, value in event.items():
        short = type(value) is str and len(value) < _SHORTEST
        if not (short or name in _UNTOUCHED or name.startswith("_")):
            event[name] = blank_personal_data(value)
    if isinstance(error, BaseException):
        event["exception"] = format_traceback(error)
    return event


def blank_personal_data(value: object) -> object:
    """Return the value with phones and ID numbers blanked in all its strings and integers."""
    if isinstance(value, str):
        return value if len(value) < _SHORTEST else PERSONAL.sub(BLANK, value)
    if isinstance(value, Mapping):
        return {blank_personal_data(key): blank_personal_data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [blank_personal_data(item) for item in value]
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return BLANK if value >= _SMALLEST and PERSONAL.fullmatch(str(value)) else value
    return PERSONAL.sub(BLANK, str(value))


def format_traceback(error: BaseException) -> str:
    """Return the traceback with every cause: each exception's class, and its text only where that describes code."""
    lines: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        text = f": {blank_personal_data(str(current))}" if isinstance(current, _TEXT_OF_CODE) else ""
        kind = type(current)
        frames = "".join(traceback.format_tb(current.__traceback__))
        lines.append(f"{frames}{kind.__module__}.{kind.__qualname__}{text}")
        if current.__cause__ is not None or current.__suppress_context__:
            current = current.__cause__
        else:
            current = current.__context__
    return "\n\nwhich came from:\n\n".join(lines)


def _to_json(event: MutableMapping[str, Any], **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()
