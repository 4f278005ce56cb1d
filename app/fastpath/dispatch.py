"""From an address to its fast route in one look-up, before anything that FastAPI does with a request.

Of the routes that an address can belong to (`app.web.routing.Lookup`), the first whose own pattern and method fit is
the one that FastAPI would take: if it is a FastRoute it is called, else FastAPI is.

Whatever is not found (another method, no such address, a mount, a redirect), and a read that comes with a body (whose
size the layers beneath limit), goes FastAPI's way, which says what is wrong with it.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, Self

from fastapi import FastAPI, Request
from starlette.convertors import StringConvertor
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.database.db import READS
from app.fastpath.route import FastRoute
from app.web.routing import Lookup


class _Candidate(NamedTuple):
    """A route that an address can belong to, with what is asked of it for each request."""

    match: Callable[[str], re.Match[str] | None]
    methods: Collection[str]
    route: FastRoute | None
    """None where FastAPI answers."""
    convert: Sequence[tuple[str, Callable[[str], Any]]]
    """The parameters of the path that are more than text."""

    @classmethod
    def of(cls, route: Route) -> Self:
        convert = [
            (name, converter.convert)
            for name, converter in route.param_convertors.items()
            if not isinstance(converter, StringConvertor)
        ]
        fast = route if isinstance(route, FastRoute) else None
        return cls(route.path_regex.match, route.methods or (), fast, convert)


class Dispatch:
    """Answers the requests of fast routes; leaves all others to the layers beneath it."""

    def __init__(self, app: ASGIApp, service: FastAPI) -> None:
        """`service` after its last route was included and its last handler added."""
        self._app = app
        self._router = service.router
        self._handlers: Mapping[Any, Any] = service.exception_handlers
        self._lookup = Lookup(
            (route.path_format, _Candidate.of(route))
            for route in service.routes
            if isinstance(route, Route) and route.methods and route.methods & READS
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] in READS and not _has_body(scope):
            path: str = scope["path"]
            for match, methods, route, convert in self._lookup.candidates(path):
                matched = match(path)
                if matched is not None and scope["method"] in methods:
                    if route is None:
                        break
                    found: dict[str, Any] = matched.groupdict()
                    for name, converter in convert:
                        found[name] = converter(found[name])
                    scope["path_params"] = found
                    scope["endpoint"], scope["route"], scope["router"] = route.endpoint, route, self._router
                    await self._answer(route, scope, receive, send)
                    return
        await self._app(scope, receive, send)

    async def _answer(self, route: FastRoute, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        try:
            response = await route.planned(request)
        except Exception as error:
            # As the middleware that is passed by has it: by the handler of the nearest class.
            kind = next(kind for kind in type(error).__mro__ if kind in self._handlers)
            response = await self._handlers[kind](request, error)
        await response(scope, receive, send)


def _has_body(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            return True
    return False
