"""From an address to its reading route in one look-up.

FastAPI tries one route after the other, of each router in turn: with 150 routes that is a third of what a small read
costs. Here an address is reduced to those of its words that are literal words of some route (`/v1/orgs/…/members`),
and what routes such an address can belong to is remembered. Of these the first whose own pattern and method fit is
taken, in the order in which they were included, as FastAPI takes it.

Only routes that read (GET, HEAD) by planned steps are found here, and pass by the middleware, which is for bodies.
Whatever is not found (another method, no such address, a mount, a redirect) goes FastAPI's way, which says what is
wrong with it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.types import ASGIApp, Receive, Scope, Send

_READS = frozenset({"GET", "HEAD"})


class Dispatch:
    """Calls the route of a reading request, or else the app as FastAPI built it."""

    def __init__(self, app: FastAPI, otherwise: ASGIApp) -> None:
        """After the last route was included and the last handler added."""
        self._router = app.router
        self._otherwise = otherwise
        self._handlers: Mapping[Any, Any] = app.exception_handlers
        self._routes = [
            route
            for route in iter_route_contexts(app.routes)
            if getattr(route.original_route, "planned", None) and route.methods and route.methods <= _READS
        ]
        patterns = [(str(route.path_format).split("/"), route) for route in self._routes]
        self._patterns = [
            ([None if part.startswith("{") else part for part in parts], route) for parts, route in patterns
        ]
        self._words = frozenset(part for parts, _ in self._patterns for part in parts if part is not None)
        self._known: dict[tuple[str | None, ...], Sequence[RouteContext]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] in _READS and "fastapi.telemetry" not in scope:
            path: str = scope["path"]
            for route in self._candidates(path):
                matched = route.path_regex.match(path)
                if matched is not None and scope["method"] in route.methods:  # type: ignore[operator]
                    converters = route.param_convertors
                    found = {name: converters[name].convert(value) for name, value in matched.groupdict().items()}
                    scope["path_params"] = found
                    scope["endpoint"], scope["route"], scope["router"] = (
                        route.endpoint,
                        route.original_route,
                        self._router,
                    )
                    await self._answer(route.original_route, Request(scope, receive, send))
                    return
        await self._otherwise(scope, receive, send)

    async def _answer(self, route: Any, request: Request) -> None:
        try:
            response = await route.planned(request)
        except Exception as error:
            # As the middleware that is passed by has it: by the handler of the nearest class.
            kind = next(kind for kind in type(error).__mro__ if kind in self._handlers)
            response = await self._handlers[kind](request, error)
        await response(request.scope, request.receive, request._send)

    def _candidates(self, path: str) -> Sequence[RouteContext]:
        words = self._words
        skeleton = tuple(part if part in words else None for part in path.split("/"))
        found = self._known.get(skeleton)
        if found is None:
            found = [route for parts, route in self._patterns if _may_be(parts, skeleton)]
            if found:  # of what fits no route there is no end
                self._known[skeleton] = found
        return found


def _may_be(parts: Sequence[str | None], skeleton: Sequence[str | None]) -> bool:
    return len(parts) == len(skeleton) and all(
        part is None or part == word for part, word in zip(parts, skeleton, strict=True)
    )
