"""The routes of the app: adding those of a feature, and finding the route of a request."""

from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

from fastapi import APIRouter, FastAPI
from starlette.convertors import PathConvertor
from starlette.datastructures import URLPath
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, NoMatchFound, Route
from starlette.types import Receive, Scope, Send

T = TypeVar("T")

_FOUND = "xuezu.found_route"


def add_routes(app: FastAPI, *routers: APIRouter) -> None:
    """Add the routes of the routers to the app unchanged.

    `app.include_router` analyses every route a second time, for prefixes and dependencies that an app can add and this
    app does not: 0.25 s of each start. The size limit of bodies is a layer of the app around all routes.
    """
    for router in routers:
        app.router.routes.extend(router.routes)


def index_routes(app: FastAPI) -> None:
    """Install the index that finds a route in one look-up. Call it after the last route was added."""
    app.router.routes.insert(0, RouteIndex(app.router.routes))


class Lookup(Generic[T]):
    """An index from addresses to values (routes) by the literal words of the address.

    An address is reduced to its words that are literal words of some pattern (`/v1/orgs/…/members`). The candidates of
    each reduced address are cached.
    """

    def __init__(self, patterns: Iterable[tuple[str | None, T]]) -> None:
        """`patterns` are pairs of a path (`/v1/orgs/{org_id}`; None for any address) and a value, in order."""
        self._patterns = [
            (None if path is None else [None if "{" in part else part for part in path.split("/")], answers)
            for path, answers in patterns
        ]
        self._words = frozenset(part for parts, _ in self._patterns for part in parts or () if part is not None)
        self._known: dict[tuple[str | None, ...], Sequence[T]] = {}

    def candidates(self, path: str) -> Sequence[T]:
        """Return the values whose pattern can match the address, in order."""
        words = self._words
        skeleton = tuple([part if part in words else None for part in path.split("/")])
        found = self._known.get(skeleton)
        if found is None:
            fitting = [(parts, answers) for parts, answers in self._patterns if _can_match(parts, skeleton)]
            found = [answers for _, answers in fitting]
            if any(parts is not None for parts, _ in fitting):  # else the cache has no bound
                self._known[skeleton] = found
        return found


def _can_match(parts: Sequence[str | None] | None, skeleton: Sequence[str | None]) -> bool:
    if parts is None:
        return True
    return len(parts) == len(skeleton) and all(
        part is None or part == word for part, word in zip(parts, skeleton, strict=True)
    )


class RouteIndex(BaseRoute):
    """A route that precedes all routes of an app and finds the one that answers.

    FastAPI tries one route after the other. With 150 routes that is a third of the processor time of a small request.
    The index tries only the candidates for the address, in the same order, with the methods that Starlette documents
    for a route: `matches` and `handle`. It answers for a route that matches in full, and for an address that has routes
    of other methods only. An unknown address and a mount are left to the other routes.
    """

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._lookup = Lookup((_get_pattern(route), route) for route in routes)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return a full match if `handle` can answer: the first candidate that matches in full, or the methods of the
        candidates that match the address only. Otherwise return no match."""
        if scope["type"] == "http" and not scope.get("root_path"):
            methods: set[str] = set()
            for route in self._lookup.candidates(scope["path"]):
                match, child_scope = route.matches(scope)
                if match == Match.FULL:
                    return (match, {**child_scope, _FOUND: route}) if isinstance(route, Route) else (Match.NONE, {})
                if match == Match.PARTIAL and isinstance(route, Route):
                    methods |= route.methods or set()
            if methods:
                return Match.FULL, {_FOUND: methods}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the route that `matches` found. Raises HTTPException (405) with the methods of all its routes."""
        found: Route | set[str] = scope.pop(_FOUND)
        if isinstance(found, set):
            allowed = found | ({"HEAD"} if "GET" in found else set())  # `app.middleware.request_head`
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(allowed))})
        await found.handle(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Raise NoMatchFound: only the other routes have names."""
        raise NoMatchFound(name, path_params)


def _get_pattern(route: BaseRoute) -> str | None:
    """Return the path of a route for `Lookup`: None if it can have any number of words."""
    if not isinstance(route, Route) or any(
        isinstance(convertor, PathConvertor) for convertor in route.param_convertors.values()
    ):
        return None
    return route.path_format
