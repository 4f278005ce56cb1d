"""How the routes of a feature come into the app, and how a request finds its own."""

from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

from fastapi import APIRouter, FastAPI
from starlette.convertors import PathConvertor
from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound, Route
from starlette.types import Receive, Scope, Send

T = TypeVar("T")

_FOUND = "xuezu.found_route"


def add_routes(app: FastAPI, *routers: APIRouter) -> None:
    """Add the routes of the routers to the app, as they are.

    `app.include_router` would analyse every route a second time, for a prefix and dependencies that an app may add and
    this one does not: 0.25 s of each start. The limit of a body's size is the app's, in a layer around all routes.
    """
    for router in routers:
        app.router.routes.extend(router.routes)


def index_routes(app: FastAPI) -> None:
    """Let a request find its route in one look-up. To be called after the last route was added."""
    app.router.routes.insert(0, RouteIndex(app.router.routes))


class Lookup(Generic[T]):
    """What answers an address, found by the address's literal words.

    An address is reduced to those of its words that are literal words of some pattern (`/v1/orgs/…/members`). What such
    an address can belong to is remembered.
    """

    def __init__(self, patterns: Iterable[tuple[str | None, T]]) -> None:
        """Pairs of a path (`/v1/orgs/{org_id}`; None for any address) and what answers it, in order."""
        self._patterns = [
            (None if path is None else [None if "{" in part else part for part in path.split("/")], answers)
            for path, answers in patterns
        ]
        self._words = frozenset(part for parts, _ in self._patterns for part in parts or () if part is not None)
        self._known: dict[tuple[str | None, ...], Sequence[T]] = {}

    def candidates(self, path: str) -> Sequence[T]:
        """What the address can belong to, in order."""
        words = self._words
        skeleton = tuple([part if part in words else None for part in path.split("/")])
        found = self._known.get(skeleton)
        if found is None:
            fitting = [(parts, answers) for parts, answers in self._patterns if _fits(parts, skeleton)]
            found = [answers for _, answers in fitting]
            if any(parts is not None for parts, _ in fitting):  # there is no end of addresses that fit no pattern
                self._known[skeleton] = found
        return found


def _fits(parts: Sequence[str | None] | None, skeleton: Sequence[str | None]) -> bool:
    if parts is None:
        return True
    return len(parts) == len(skeleton) and all(
        part is None or part == word for part, word in zip(parts, skeleton, strict=True)
    )


class RouteIndex(BaseRoute):
    """Stands before the routes of an app and finds the one that answers.

    FastAPI asks one route after the other. With 150 routes that is a third of the processor time of a small request.
    The index asks only those that can answer such an address, in the same order, by what Starlette documents of a
    route: `matches` and `handle`. It answers for a route that matches in full. Everything else (another method, no such
    address, a mount, a redirect) is left to the routes themselves.
    """

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._lookup = Lookup((_path_of(route), route) for route in routes)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """A full match of the first route that matches in full, or none."""
        if scope["type"] == "http" and not scope.get("root_path"):
            for route in self._lookup.candidates(scope["path"]):
                match, child_scope = route.matches(scope)
                if match == Match.FULL:
                    return (match, {**child_scope, _FOUND: route}) if isinstance(route, Route) else (Match.NONE, {})
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the route that `matches` found answer."""
        route: Route = scope.pop(_FOUND)
        await route.handle(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Raises NoMatchFound: the routes themselves have names."""
        raise NoMatchFound(name, path_params)


def _path_of(route: BaseRoute) -> str | None:
    """The path of a route as `Lookup` takes it: None where it can have any number of words."""
    if not isinstance(route, Route) or any(isinstance(one, PathConvertor) for one in route.param_convertors.values()):
        return None
    return route.path_format
