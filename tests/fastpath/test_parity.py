"""A fast route answers as FastAPI does: the same requests to the service with and without the fast path."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from app.api_docs.document import list_api_routes
from app.core.services import SETTINGS
from app.core.settings import Settings
from app.database.driver import ReadPool
from app.fastpath.route import FastRoute
from app.main import create_app
from tests.people import People, Person

FAST: dict[str, tuple[str, ...]] = {
    "/v1/orgs/{org_id}": (),
    "/v1/orgs/{org_id}/reports/overview": (
        "period=month",
        "day=1999-01-01",
        "day=today",
        "period=year",
        "period=day&period=month",
        "sort=name&direction=desc&limit=1",
        "limit=0&day=x&sort=size",
        "cursor=bm90IGEgY3Vyc29y",
    ),
    "/v1/inbox": ("limit=1", "limit=0", "limit=1&limit=2", "cursor=x"),
}
"""Valid and invalid parameters of each fast route. A new fast route must be added here."""
OTHERS: dict[str, tuple[str, ...]] = {
    "/v1/orgs/{org_id}/rankings": (
        "by=total",
        "by=nothing",
        "limit=1",
        "limit=1&limit=2",
        "limit=x&by=y",
        f"unit_id={uuid4()}",
        "unit_id=x",
        "cursor=x",
    ),
    "/v1/orgs/{org_id}/reports/trend": ("days=3", "days=0", "days=1&days=2", "day=x&days=y"),
    "/v1/me/points": ("days=3&until=2026-01-02", "days=0&until=x", "days=1&days=2", "until=0001-01-01"),
}
"""The same for reads that FastAPI answers after the look-up of fast routes."""
QUERIES = FAST | OTHERS


@dataclass
class Both:
    """The service with the fast path and without it, over one database."""

    fast: httpx.AsyncClient
    plain: httpx.AsyncClient


@pytest.fixture(scope="module")
async def both(app: FastAPI, settings: Settings) -> AsyncIterator[Both]:
    plain = create_app(settings, fast_path=False)
    async with plain.router.lifespan_context(plain):
        clients = [
            httpx.AsyncClient(
                transport=httpx.ASGITransport(service, client=("127.0.0.1", 50000)), base_url=SETTINGS.get(app).issuer
            )
            for service in (app, plain)
        ]
        async with clients[0], clients[1]:
            yield Both(*clients)


@pytest.fixture(scope="module")
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture(scope="module")
async def org(admin: Person) -> str:
    made: str = (await admin.create_org())["id"]
    return made


async def _compare_answers(both: Both, method: str, path: str, **options: Any) -> httpx.Response:
    answers = []
    for client in (both.fast, both.plain):
        headers = {"X-Request-Id": "parity"} | options.get("headers", {})
        answers.append(await client.request(method, path, **options | {"headers": headers}))
    fast, plain = answers
    assert fast.status_code == plain.status_code, (method, path)
    assert _list_headers(fast) == _list_headers(plain), (method, path)
    assert _remove_time(fast) == _remove_time(plain), (method, path)
    return fast


def _list_headers(answer: httpx.Response) -> list[tuple[str, str]]:
    """Return the headers without the length: the time of the count has more digits in one of the two bodies."""
    return [item for item in answer.headers.multi_items() if item[0] != "content-length"]


def _remove_time(answer: httpx.Response) -> bytes:
    """Return the body without the time of the count, which differs between the two calls."""
    return re.sub(rb'"as_of":"[^"]+"', b"", answer.content)


def test_list_of_fast_routes_is_complete(app: FastAPI) -> None:
    fast = {path for path, route in list_api_routes(app) if isinstance(route.original_route, FastRoute)}
    assert fast == set(FAST)


@pytest.mark.parametrize("path", QUERIES)
async def test_fast_path_and_fastapi_answer_parameters_alike(both: Both, admin: Person, org: str, path: str) -> None:
    address = path.format(org_id=org)
    statuses = []
    for query in ("", "unknown=1", "%ff=%00", *QUERIES[path]):
        for language in ("zh", "en"):
            headers = admin.headers | {"Accept-Language": language}
            statuses.append((await _compare_answers(both, "GET", f"{address}?{query}", headers=headers)).status_code)
    assert 200 in statuses
    assert 422 in statuses or not QUERIES[path]


@pytest.mark.parametrize("path", QUERIES)
async def test_fast_path_and_fastapi_refuse_alike(
    both: Both, people: People, admin: Person, org: str, path: str
) -> None:
    stranger = await people.register()
    address = path.format(org_id=org)
    for headers in ({}, {"Authorization": "Bearer x.y.z"}, {"Authorization": "Basic eDp5"}):
        assert (await _compare_answers(both, "GET", address, headers=headers)).status_code == 401, headers
    cases: tuple[tuple[dict[str, str], str, int], ...] = (
        (stranger.headers, org, 404),
        (admin.headers, str(uuid4()), 404),
        (admin.headers, "not-an-id", 422),
        ({}, "not-an-id", 401),
        (admin.headers, org.upper(), 200),
    )
    for headers, org_id, status in cases if "{org_id}" in path else ():
        answered = await _compare_answers(both, "GET", path.format(org_id=org_id), headers=headers)
        assert answered.status_code == status, (headers, org_id)
    for refused in (f"{address}/", f"{address}//", f"{address}%0A", f"/{address}"):
        await _compare_answers(both, "GET", refused, headers=admin.headers)


@pytest.mark.parametrize("path", QUERIES)
async def test_fast_path_and_fastapi_answer_other_methods_alike(both: Both, admin: Person, org: str, path: str) -> None:
    for method in ("HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "get"):
        await _compare_answers(both, method, path.format(org_id=org), headers=admin.headers)


@pytest.mark.parametrize("path", QUERIES)
async def test_fast_path_and_fastapi_answer_encoded_paths_and_doubled_headers_alike(
    both: Both, admin: Person, org: str, path: str
) -> None:
    address = path.format(org_id=org)
    for refused in (f"{address}%2Fadmins", f"{address}%0a", address.replace("/v1/", "/v1%2f")):
        assert (await _compare_answers(both, "GET", refused, headers=admin.headers)).status_code in (404, 422)
    doubled = [*admin.headers.items(), ("Authorization", "Bearer x"), ("X-Request-Id", "parity")]
    answers = [await client.get(address, headers=doubled) for client in (both.fast, both.plain)]
    assert [answer.status_code for answer in answers] == [400, 400]


@pytest.mark.parametrize("path", QUERIES)
async def test_fast_path_and_fastapi_answer_a_get_with_a_body_alike(
    both: Both, admin: Person, org: str, path: str
) -> None:
    for headers, body in (
        ({"Content-Type": "application/json"}, b"{"),
        ({}, b"x" * (3 << 20)),
        ({"Content-Length": "99999999"}, b""),
        ({"Idempotency-Key": "twice"}, b""),
        ({"If-None-Match": '"1"'}, b""),
    ):
        await _compare_answers(both, "GET", path.format(org_id=org), headers=admin.headers | headers, content=body)


@pytest.mark.parametrize("path", QUERIES)
async def test_fast_path_and_fastapi_answer_a_database_error_alike(
    both: Both, admin: Person, org: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (ConnectionError(), asyncpg.InterfaceError("gone"), ValueError("a bug")):

        async def fails(*_: Any, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(ReadPool, "fetch", fails)
        answered = await _compare_answers(both, "GET", path.format(org_id=org), headers=admin.headers)
        assert answered.status_code == (500 if isinstance(error, ValueError) else 503)
