"""A request finds its route in one look-up: the same that FastAPI finds by asking one after the other."""

from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from app.web.routing import RouteIndex, index_routes


def _index(app: FastAPI) -> RouteIndex:
    return next(route for route in app.routes if isinstance(route, RouteIndex))


def _request(method: str, path: str) -> Scope:
    return {"type": "http", "method": method, "path": path, "headers": [], "query_string": b""}


def _found_by_asking(routes: list[BaseRoute], scope: Scope) -> BaseRoute | None:
    for route in routes:
        if not isinstance(route, RouteIndex) and route.matches(scope)[0] == Match.FULL:
            return route
    return None


def _addresses(path: str) -> Iterator[str]:
    """The path with parameters of every kind, literal words of other routes among them."""
    for filled in (str(uuid4()), "removed", "template", "members", "reports", "orgs", "1", "a/b", ""):
        yield "/".join(filled if "{" in part else part for part in path.split("/"))


def test_the_index_finds_the_route_that_asking_all_finds(app: FastAPI) -> None:
    index = _index(app)
    found = set()
    for asked in [route for route in app.routes if isinstance(route, Route)]:
        for address in _addresses(asked.path_format):
            for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                scope = _request(method, address)
                wanted = _found_by_asking(app.routes, scope)
                match, child_scope = index.matches(scope)
                if not isinstance(wanted, Route):
                    assert match == Match.NONE, (method, address)
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


async def test_what_the_index_does_not_find_goes_the_usual_way(small: httpx.AsyncClient) -> None:
    async with small as client:
        assert (await client.get("/things/7")).json() == 7
        assert (await client.post("/things/7")).json() == "wrote 7"
        refused = await client.delete("/things/7")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET")
        assert (await client.get("/things/7/")).headers["location"] == "http://small/things/7"
        assert (await client.get("/nothing")).status_code == 404
        assert (await client.get("/later")).json() == "later"
