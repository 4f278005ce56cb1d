"""Every answer in a test is compared with the OpenAPI document: no undeclared status or header, one shape of error.

The `Location` of each 201 is the address of a documented read, and the first one of each operation is read.
"""

import re
from typing import Any

import httpx
from fastapi import FastAPI

from app.api_docs.problem_schemas import list_problems
from app.api_docs.response_headers import HEADERS, list_response_headers
from app.web.errors import RESOURCE_METADATA
from tests.inlining import inline_shared_parts

PROBLEM = "application/problem+json"


class Contract:
    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._read_operations: set[str] = set()
        document = inline_shared_parts(app.openapi())
        # A literal path has precedence over one with parameters.
        paths = sorted(document["paths"].items(), key=lambda item: item[0].count("{"))
        self._operations: dict[tuple[str, int], list[tuple[re.Pattern[str], dict[str, Any]]]] = {}
        for path, methods in paths:
            pattern = re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) + "$")
            for method, operation in methods.items():
                same = self._operations.setdefault((method, path.count("/")), [])
                same.append((pattern, operation["responses"]))

    async def check(self, response: httpx.Response) -> None:
        request = response.request
        method = request.method.lower()
        path = request.url.path
        same = self._operations.get((method, path.count("/")), [])
        pattern, declared = next(((regex, responses) for regex, responses in same if regex.match(path)), (None, None))
        if pattern is None or declared is None:
            return
        status = str(response.status_code)
        assert status in declared, f"{method} {path} answered {status}, which it does not declare"
        headers = list_response_headers(declared[status])
        for name in HEADERS:
            place = f"{method} {path} {status}"
            assert name in headers or name not in response.headers, f"{place} has {name}, which it does not declare"
            assert name in response.headers or not headers.get(name), f"{place} has no {name}"
        if response.status_code == 401 and path.startswith("/v1/"):
            challenge = response.headers["WWW-Authenticate"]
            assert f'{RESOURCE_METADATA}"' in challenge.partition(' resource_metadata="')[2], challenge
        if response.status_code == 201:
            await self._read_location(pattern.pattern, request, response.headers["Location"])
        if response.status_code >= 400 and not path.startswith(("/oauth/", "/.well-known/")):
            await response.aread()
            assert response.headers["content-type"] == PROBLEM, response.text
            problem = response.json()
            slug = problem["type"].removeprefix("/problems/")
            known = declared[status]["content"][PROBLEM]["examples"]
            assert slug in known, f"{method} {path} answered {slug}, which it does not declare"
            assert problem.keys() <= self._list_members(slug), f"{method} {path}: {slug} has an undeclared member"
            assert problem["title"]
            assert problem["status"] == response.status_code

        if response.status_code >= 400 and path.startswith("/oauth/"):
            await response.aread()
            error = response.json()["error"]
            assert f"`{error}`" in declared[status]["description"], f"{method} {path} does not declare {error}"

    def _list_members(self, slug: str) -> set[str]:
        """Return the members that a problem can have by its schema."""
        kind = next(kind for kind in list_problems() if kind.slug == slug)
        schemas: dict[str, dict[str, Any]] = self._app.openapi()["components"]["schemas"]
        return set(schemas[f"{kind.__name__}Problem"]["properties"])

    async def _read_location(self, operation: str, request: httpx.Request, location: str) -> None:
        """Read the address in the `Location` header of a 201 with the token of the same request, once for each
        operation. Fail if the address is no documented read or the answer is not 200."""
        reads = self._operations.get(("get", location.count("/")), [])
        assert any(pattern.match(location) for pattern, _ in reads), f"{location} is no documented read"
        if operation not in self._read_operations:
            self._read_operations.add(operation)
            headers = {"Authorization": request.headers["Authorization"]}
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url=request.url.join("/")) as client:
                found = await client.get(location, headers=headers)
            assert found.status_code == 200, f"{operation}: its Location answers {found.status_code} {found.text}"
