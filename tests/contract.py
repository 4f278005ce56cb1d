"""Every answer in a test is compared with the OpenAPI document: no undeclared status, no other shape of error."""

import re
from typing import Any

import httpx
from fastapi import FastAPI

PROBLEM = "application/problem+json"


class Contract:
    def __init__(self, app: FastAPI) -> None:
        document = app.openapi()
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
        declared = next((responses for pattern, responses in same if pattern.match(path)), None)
        if declared is None:
            return
        status = str(response.status_code)
        assert status in declared, f"{method} {path} answered {status}, which it does not declare"
        if response.status_code >= 400 and not path.startswith(("/oauth/", "/.well-known/")):
            await response.aread()
            assert response.headers["content-type"] == PROBLEM, response.text
            problem = response.json()
            slug = problem["type"].removeprefix("/problems/")
            known = declared[status]["content"][PROBLEM]["examples"]
            assert slug in known, f"{method} {path} answered {slug}, which it does not declare"
            assert problem["title"]
            assert problem["status"] == response.status_code
