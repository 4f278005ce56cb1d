"""Reading routes are found in one look-up and answered by steps planned once: nothing is left out or out of order."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from fastapi import Depends, FastAPI, Query, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from app.api_docs.document import api_routes
from app.core import driver
from app.core.db import TransactionalRoute
from app.core.driver import Drivers
from app.core.errors import Unauthorized, install
from app.core.plan import plan_of
from app.core.settings import Settings
from app.fastpath.dispatch import Dispatch


def _calls(dependant: Dependant) -> Iterator[Any]:
    for below in dependant.dependencies:
        yield from _calls(below)
    yield dependant.call


def test_a_plan_has_every_call_of_its_route_each_after_what_it_needs(app: FastAPI) -> None:
    planned = 0
    for path, route in api_routes(app):
        steps = plan_of(route.dependant) if route.body_field is None else None
        if steps is None:
            continue
        planned += 1
        assert [step.call for step in steps] == list(dict.fromkeys(_calls(route.dependant))), path
        for position, step in enumerate(steps):
            assert all(needed < position for needed in step.needs), path
    assert planned > 60


def test_every_address_leads_to_the_route_that_fastapi_takes(app: FastAPI) -> None:
    """Whatever its parameters look like, literal words of other routes among them."""
    dispatch = Dispatch(app, app)
    routes = [route for route in iter_route_contexts(app.routes) if getattr(route.original_route, "planned", None)]
    reading = [route for route in routes if route.methods and route.methods <= {"GET", "HEAD"}]
    assert len(reading) > 50
    for route in reading:
        for filled in (str(uuid4()), "removed", "template", "members"):
            parts = [filled if part.startswith("{") else part for part in str(route.path_format).split("/")]
            address = "/".join(parts)
            wanted = next(found for found in reading if found.path_regex.match(address))
            candidates = dispatch._candidates(address)
            assert next(found for found in candidates if found.path_regex.match(address)).endpoint is wanted.endpoint


@pytest.fixture
async def small() -> AsyncIterator[httpx.AsyncClient]:
    """An app of one planned route that is refused in every way at once."""
    app = FastAPI()
    app.router.route_class = TransactionalRoute
    seen: list[str] = []

    async def known(token: Annotated[str | None, Query()] = None) -> str:
        seen.append("known")
        if token is None:
            raise Unauthorized
        return token

    def sized(size: Annotated[int, Query(ge=1)] = 5) -> int:
        return size

    async def late(size: Annotated[int, Depends(sized)]) -> int:
        seen.append("late")
        return size * 2

    @app.get("/things/{number}")
    async def read(
        number: int, who: Annotated[str, Depends(known)], twice: Annotated[int, Depends(late)], response: Response
    ) -> dict[str, Any]:
        response.headers["X-Who"] = who
        response.status_code = 203
        return {"number": number, "twice": twice, "seen": seen.copy()}

    install(app)
    app.middleware_stack = Dispatch(app, app.build_middleware_stack())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://small") as client:
        yield client


async def test_who_is_not_let_in_is_told_so_before_what_else_is_wrong(small: httpx.AsyncClient) -> None:
    assert (await small.get("/things/x?size=0")).status_code == 401


async def test_what_is_wrong_is_told_together_and_what_needs_it_is_not_called(small: httpx.AsyncClient) -> None:
    wrong = await small.get("/things/x?size=0&token=me")
    assert wrong.status_code == 422
    assert [error["pointer"] for error in wrong.json()["errors"]] == ["query/size", "path/number"]
    right = await small.get("/things/7?token=me")
    assert (right.status_code, right.headers["x-who"]) == (203, "me")
    assert right.json() == {"number": 7, "twice": 10, "seen": ["known", "known", "late"]}
    assert (await small.get("/things/7?token=me&size=3")).json()["twice"] == 6


async def test_other_methods_and_addresses_go_fastapis_way(small: httpx.AsyncClient) -> None:
    assert (await small.post("/things/7")).status_code == 405
    assert (await small.get("/nothing")).status_code == 404


async def test_a_read_that_is_cancelled_leaves_its_connection_to_nobody(settings: Settings) -> None:
    drivers = Drivers(lambda: driver.connect(settings), 2)
    slow = asyncio.create_task(drivers.fetch("SELECT 'slow' FROM pg_sleep(20)"))
    await asyncio.sleep(0.2)
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    answers = await asyncio.gather(*(drivers.fetch("SELECT $1::int", n) for n in range(50)))
    assert [rows[0][0] for rows in answers] == list(range(50))
    with pytest.raises(asyncpg.DivisionByZeroError):
        await drivers.fetch("SELECT 1 / 0")
    assert (await drivers.fetch("SELECT 1"))[0][0] == 1
    await drivers.close()
