"""Structured logs: for people in development, JSON in production, and never a phone or an ID number in either.

What people send stays out by construction: no query string, no body, no header, no text of an exception that may
quote data. Whatever looks like a phone or an ID number all the same is blanked in every value before it is written.
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
"""The id of the request that is being answered: it is in each of its lines."""

BLANK = "▒"
# A mainland mobile number, and an ID number of 15 or 18 places, neither inside a longer run of letters or digits.
PERSONAL = re.compile(r"(?<![0-9A-Za-z])(?:\+?(?:86)?1[3-9]\d{9}|\d{17}[\dXx]|\d{15})(?![0-9A-Za-z])", re.ASCII)
_UNTOUCHED = frozenset({"request_id", "timestamp"})
_SHORTEST, _SMALLEST = 11, 10**10  # the characters of the shortest of them, and the smallest as a number
# Their text speaks of code. The text of other exceptions may quote what somebody sent.
_TEXT_OF_CODE = (AttributeError, ImportError, NameError, NotImplementedError, RecursionError, TypeError)


def configure(log_format: str, *, process: str) -> None:
    """Send this process's logs, those of libraries included, to stdout as `console` or `json` lines."""
    shared, render = processors_of(log_format == "console", process)
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


def configure_unless_done() -> None:
    """In somebody else's process (a test, a script) set up nothing but what is kept out of every line."""
    if not structlog.is_configured():
        shared, render = processors_of(console=True, process="app")
        structlog.configure(processors=[*shared, render])


def processors_of(console: bool, process: str) -> tuple[list[Processor], Processor]:
    def in_context(_logger: object, _name: str, event: EventDict) -> EventDict:
        request_id = REQUEST_ID.get()
        if request_id is not None:
            event.setdefault("request_id", request_id)
        return {"process": process, **event}

    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper("%H:%M:%S" if console else "iso", utc=not console),
        in_context,
        _without_quotes,
    ]
    if console:
        colors, plain = sys.stdout.isatty(), structlog.dev.plain_traceback
        return shared, structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)
    return shared, structlog.processors.JSONRenderer(serializer=_json)


def _without_quotes(_logger: object, _name: str, event: EventDict) -> EventDict:
    """Blank what looks like a phone or an ID number, and show exceptions without the text that may quote one."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    elif isinstance(error, tuple):
        error = error[1]
    for name, value in event.items():
        short = type(value) is str and len(value) < _SHORTEST
        if not (short or name in _UNTOUCHED or name.startswith("_")):
            event[name] = blanked(value)
    if isinstance(error, BaseException):
        event["exception"] = traceback_of(error)
    return event


def blanked(value: object) -> object:
    """The value with phones and ID numbers blanked in all its strings and integers."""
    if isinstance(value, str):
        return value if len(value) < _SHORTEST else PERSONAL.sub(BLANK, value)
    if isinstance(value, Mapping):
        return {blanked(key): blanked(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [blanked(item) for item in value]
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return BLANK if value >= _SMALLEST and PERSONAL.fullmatch(str(value)) else value
    return PERSONAL.sub(BLANK, str(value))


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
