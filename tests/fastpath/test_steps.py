"""Fast routes are found in one look-up and answered by planned steps: the plan is complete and in order."""

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any
from uuid import uuid4

import httpx
import pytest
from fastapi import Depends, FastAPI, Query, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts

from app.api_docs.document import list_api_routes
from app.core.services import SETTINGS
from app.core.settings import Settings
from app.database.db import READS
from app.fastpath.dispatch import Dispatch
from app.fastpath.route import FastRoute
from app.fastpath.steps import plan_route
from app.web.errors import Unauthorized, install_error_handler


def _list_calls(dependant: Dependant) -> Iterator[Any]:
    for child in dependant.dependencies:
        yield from _list_calls(child)
    yield dependant.call


def _list_fast_routes(app: FastAPI) -> list[tuple[str, RouteContext]]:
    found = [(path, route) for path, route in list_api_routes(app) if isinstance(route.original_route, FastRoute)]
    assert found
    return found


def test_plan_has_every_call_after_its_dependencies(app: FastAPI) -> None:
    for path, route in _list_fast_routes(app):
        steps = plan_route(route.dependant)
        assert steps is not None, path
        assert [step.call for step in steps] == list(dict.fromkeys(_list_calls(route.dependant))), path
        for position, step in enumerate(steps):
            assert all(needed < position for needed in step.needs), path


def test_address_is_dispatched_to_the_route_of_fastapi(app: FastAPI) -> None:
    """With any parameters, among them literal words of other routes."""
    dispatch = Dispatch(app, app)
    reading = [route for route in iter_route_contexts(app.routes) if route.methods and route.methods & READS]
    for path, _ in _list_fast_routes(app):
        for filled in (str(uuid4()), "removed", "template", "members", "reports", "orgs"):
            address = "/".join(filled if part.startswith("{") else part for part in path.split("/"))
            wanted = next(found for found in reading if found.path_regex and found.path_regex.match(address))
            taken = next(found for found in dispatch._lookup.candidates(address) if found.match(address))
            fast = isinstance(wanted.original_route, FastRoute)
            assert taken.route is (wanted.original_route if fast else None), address
            assert taken.match == wanted.path_regex.match, address


@pytest.fixture
async def small(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """An app with one planned route that can be refused for several reasons at once."""
    app = FastAPI()
    app.router.route_class = FastRoute
    seen: list[str] = []

    async def known(token: Annotated[str | None, Query()] = None) -> str:
        seen.append("known")
        if token is None:
            raise Unauthorized
        return token

    async def sized(size: Annotated[int, Query(ge=1)] = 5) -> int:
        return size

    async def dependent(size: Annotated[int, Depends(sized)]) -> int:
        seen.append("dependent")
        return size * 2

    @app.get("/things/{number}")
    async def read(
        number: int, who: Annotated[str, Depends(known)], twice: Annotated[int, Depends(dependent)], response: Response
    ) -> dict[str, Any]:
        response.headers["X-Who"] = who
        response.status_code = 203
        return {"number": number, "twice": twice, "seen": seen.copy()}

    SETTINGS.provide(app, settings)
    install_error_handler(app)
    app.middleware_stack = Dispatch(app.build_middleware_stack(), app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://small") as client:
        yield client


async def test_authentication_errors_come_before_validation_errors(small: httpx.AsyncClient) -> None:
    assert (await small.get("/things/x?size=0")).status_code == 401


async def test_validation_errors_are_collected_and_dependents_are_skipped(small: httpx.AsyncClient) -> None:
    wrong = await small.get("/things/x?size=0&token=me")
    assert wrong.status_code == 422
    assert [error["pointer"] for error in wrong.json()["errors"]] == ["query/size", "path/number"]
    right = await small.get("/things/7?token=me")
    assert (right.status_code, right.headers["x-who"]) == (203, "me")
    assert right.json() == {"number": 7, "twice": 10, "seen": ["known", "known", "dependent"]}
    assert (await small.get("/things/7?token=me&size=3")).json()["twice"] == 6


async def test_other_methods_and_addresses_are_left_to_fastapi(small: httpx.AsyncClient) -> None:
    assert (await small.post("/things/7")).status_code == 405
    assert (await small.get("/nothing")).status_code == 404
