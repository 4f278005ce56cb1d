"""Concurrent calls that need little time: they call the app as its server does (ASGI), without an HTTP client.

A round of ten calls takes half the time that it takes through httpx, and a race has up to ten thousand rounds. Other
tests make each of these calls once and compare the answer with the OpenAPI document.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI

_HEADERS = [(b"host", b"localhost:8000"), (b"user-agent", b"Mozilla/5.0 (Windows NT 10.0) Firefox/140.0")]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one call."""

    status: int
    content: bytes
    request_id: str = ""

    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def slug(self) -> str:
        return str(self.json()["type"].removeprefix("/problems/"))


class Caller:
    """A caller of the app with an access token, or without one if `token` is None."""

    def __init__(self, app: FastAPI, token: str | None = None) -> None:
        self._app = app
        self.token = token

    async def get(self, path: str) -> Answer:
        return await self.call("GET", path)

    async def post(self, path: str, body: Any = None) -> Answer:
        return await self.call("POST", path, body)

    async def put(self, path: str, body: Any = None) -> Answer:
        return await self.call("PUT", path, body)

    async def delete(self, path: str) -> Answer:
        return await self.call("DELETE", path)

    async def form(self, path: str, **fields: str) -> Answer:
        return await self._send("POST", path, urlencode(fields).encode(), b"application/x-www-form-urlencoded")

    async def call(self, method: str, path: str, body: Any = None) -> Answer:
        content = b"" if body is None else json.dumps(body).encode()
        return await self._send(method, path, content, b"application/json")

    async def _send(self, method: str, path: str, content: bytes, kind: bytes) -> Answer:
        messages: list[dict[str, Any]] = [{"type": "http.request", "body": content, "more_body": False}]
        status, parts, request_id = 0, [], ""

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            return await asyncio.Event().wait()  # type: ignore[return-value]  # the client never disconnects

        async def send(message: Any) -> None:
            nonlocal status, request_id
            if message["type"] == "http.response.start":
                status = message["status"]
                request_id = dict(message["headers"]).get(b"x-request-id", b"").decode()
            else:
                parts.append(message.get("body", b""))

        headers = [*_HEADERS, (b"content-length", str(len(content)).encode())]
        if self.token is not None:
            headers.append((b"authorization", b"Bearer " + self.token.encode()))
        if content:
            headers.append((b"content-type", kind))
        bare, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": bare,
            "raw_path": bare.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": headers,
            "scheme": "http",
            "server": ("localhost", 8000),
            "client": ("127.0.0.1", 50000),
        }
        await self._app(scope, receive, send)
        return Answer(status, b"".join(parts), request_id)


async def gather_statuses(calls: Iterable[Awaitable[Answer]]) -> Counter[int]:
    """Make the calls at the same time and count their statuses."""
    return Counter(answer.status for answer in await asyncio.gather(*calls))
