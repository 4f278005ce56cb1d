"""The look-up of a fast route by the address, before any work of FastAPI.

Among the routes that an address can match (`app.web.routing.Lookup`), the first whose pattern and method match is the
route that FastAPI would choose. If it is a FastRoute, it is called; otherwise FastAPI is called.

FastAPI also handles all other requests and their errors: another method, an unknown address, a mount, a redirect, and a
read with a body (whose size the following layers limit).
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
    """A route that an address can match, with the data that each request needs."""

    match: Callable[[str], re.Match[str] | None]
    methods: Collection[str]
    route: FastRoute | None
    """None if FastAPI answers."""
    converters: Sequence[tuple[str, Callable[[str], Any]]]
    """The converters of path parameters that are not text."""

    @classmethod
    def from_route(cls, route: Route) -> Self:
        converters = [
            (name, converter.convert)
            for name, converter in route.param_convertors.items()
            if not isinstance(converter, StringConvertor)
        ]
        fast = route if isinstance(route, FastRoute) else None
        return cls(route.path_regex.match, route.methods or (), fast, converters)


class Dispatch:
    """Middleware that answers the requests of fast routes and passes all others on."""

    def __init__(self, app: ASGIApp, service: FastAPI) -> None:
        """`service` must have all its routes and exception handlers."""
        self._app = app
        self._router = service.router
        self._handlers: Mapping[Any, Any] = service.exception_handlers
        self._lookup = Lookup(
            (route.path_format, _Candidate.from_route(route))
            for route in service.routes
            if isinstance(route, Route) and route.methods and route.methods & READS
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] in READS and not _has_body(scope):
            path: str = scope["path"]
            for match, methods, route, converters in self._lookup.candidates(path):
                matched = match(path)
                if matched is not None and scope["method"] in methods:
                    if route is None:
                        break
                    found: dict[str, Any] = matched.groupdict()
                    for name, converter in converters:
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
            # The handler of the nearest class, as in Starlette's middleware, which this layer precedes.
            kind = next(kind for kind in type(error).__mro__ if kind in self._handlers)
            response = await self._handlers[kind](request, error)
        await response(scope, receive, send)


def _has_body(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            return True
    return False
