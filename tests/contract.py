"""Every answer a test gets is held against the OpenAPI document: no undeclared status, no other shape of error."""

import re

import httpx
from fastapi import FastAPI

PROBLEM = "application/problem+json"


class Contract:
    def __init__(self, app: FastAPI) -> None:
        document = app.openapi()
        self._operations = [
            (re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) + "$"), methods)
            for path, methods in document["paths"].items()
        ]
        # A literal path is more particular than one with parameters.
        self._operations.sort(key=lambda item: item[0].pattern.count("[^/]+"))

    async def check(self, response: httpx.Response) -> None:
        request = response.request
        method = request.method.lower()
        declared = None
        for pattern, methods in self._operations:
            if pattern.match(request.url.path) and method in methods:
                declared = methods[method]["responses"]
                break
        if declared is None:
            return
        status = str(response.status_code)
        assert status in declared, f"{method} {request.url.path} answered {status}, which it does not declare"
        if response.status_code >= 400 and not request.url.path.startswith(("/oauth/", "/.well-known/")):
            await response.aread()
            assert response.headers["content-type"] == PROBLEM, response.text
            problem = response.json()
            slug = problem["type"].removeprefix("/problems/")
            known = declared[status]["content"][PROBLEM]["examples"]
            assert slug in known, f"{method} {request.url.path} answered {slug}, which it does not declare"
            assert problem["title"]
            assert problem["status"] == response.status_code
