"""The route of a request: one look-up finds the same route as FastAPI's search of all routes."""

import random
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from app.web.routing import RouteIndex, index_routes


def _build_index(app: FastAPI) -> RouteIndex:
    return next(route for route in app.routes if isinstance(route, RouteIndex))


def _build_scope(method: str, path: str) -> Scope:
    return {"type": "http", "method": method, "path": path, "headers": [], "query_string": b""}


def _search_routes(routes: list[BaseRoute], scope: Scope) -> BaseRoute | None:
    for route in routes:
        if not isinstance(route, RouteIndex) and route.matches(scope)[0] == Match.FULL:
            return route
    return None


def _list_methods(routes: list[BaseRoute], address: str) -> set[str]:
    """Return the methods of all routes of an address; none where a mount answers."""
    scope, methods = _build_scope("NONE", address), set[str]()
    for route in routes:
        if not isinstance(route, RouteIndex):
            match = route.matches(scope)[0]
            if match == Match.FULL:
                return set()
            if match == Match.PARTIAL and isinstance(route, Route):
                methods |= route.methods or set()
    return methods


def _list_candidates(routes: list[BaseRoute], address: str) -> list[BaseRoute]:
    """Return the routes whose path is the address, with any method."""
    scope = _build_scope("NONE", address)
    others = (route for route in routes if not isinstance(route, RouteIndex))
    return [route for route in others if route.matches(scope)[0] != Match.NONE]


def _list_addresses(path: str) -> Iterator[str]:
    """Yield the path with parameters of every kind, among them literal words of other routes."""
    for filled in (str(uuid4()), "removed", "template", "members", "reports", "orgs", "1", "a/b", ""):
        yield "/".join(filled if "{" in part else part for part in path.split("/"))


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def test_index_finds_the_same_route_as_a_full_search(app: FastAPI) -> None:
    index, chance = _build_index(app), random.Random(1)
    found = set()
    for expected in [route for route in app.routes if isinstance(route, Route)]:
        for address in dict.fromkeys(_list_addresses(expected.path_format)):
            # The other routes answer no method at this address.
            candidates = _list_candidates(app.routes, address)
            for method in {*(expected.methods or ()), "OPTIONS", chance.choice(METHODS)}:
                scope = _build_scope(method, address)
                wanted = _search_routes(candidates, scope)
                match, child_scope = index.matches(scope)
                if not isinstance(wanted, Route):
                    allowed = _list_methods(candidates, address)
                    assert match == (Match.FULL if allowed else Match.NONE), (method, address)
                    assert child_scope.get("xuezu.found_route", set()) == allowed, (method, address)
                    continue
                assert match == Match.FULL, (method, address)
                assert child_scope["xuezu.found_route"] is wanted, (method, address)
                assert child_scope["path_params"] == wanted.matches(scope)[1]["path_params"], (method, address)
                found.add(id(wanted))
    assert len(found) > 150


@pytest.fixture
def small() -> httpx.AsyncClient:
    app = FastAPI()

    @app.get("/things/{number}")
    async def read(number: int) -> int:
        return number

    @app.post("/things/{number}")
    async def write(number: int) -> str:
        return f"wrote {number}"

    index_routes(app)

    @app.get("/later")
    async def later() -> str:
        return "later"

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://small")


async def test_request_without_index_entry_is_answered_by_fastapi(small: httpx.AsyncClient) -> None:
    async with small as client:
        assert (await client.get("/things/7")).json() == 7
        assert (await client.post("/things/7")).json() == "wrote 7"
        refused = await client.delete("/things/7")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, POST")
        assert (await client.get("/things/7/")).headers["location"] == "http://small/things/7"
        assert (await client.get("/nothing")).status_code == 404
        assert (await client.get("/later")).json() == "later"
