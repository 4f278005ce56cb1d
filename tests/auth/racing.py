"""Many calls at once, cheaply: the service is called as its server calls it (ASGI), without a client in between.

(A round of ten takes half the time that it takes through httpx, and there are ten thousand rounds to a race. Every
answer that a race gives is held against the OpenAPI document by the tests that ask for it one by one.)
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
    status: int
    content: bytes
    request_id: str = ""

    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def slug(self) -> str:
        return str(self.json()["type"].removeprefix("/problems/"))


class Caller:
    """Somebody who calls, with this access token or without any."""

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
        return await self._sent("POST", path, urlencode(fields).encode(), b"application/x-www-form-urlencoded")

    async def call(self, method: str, path: str, body: Any = None) -> Answer:
        content = b"" if body is None else json.dumps(body).encode()
        return await self._sent(method, path, content, b"application/json")

    async def _sent(self, method: str, path: str, content: bytes, kind: bytes) -> Answer:
        told: list[dict[str, Any]] = [{"type": "http.request", "body": content, "more_body": False}]
        status, parts, request_id = 0, [], ""

        async def receive() -> dict[str, Any]:
            if told:
                return told.pop()
            return await asyncio.Event().wait()  # type: ignore[return-value]  # nobody hangs up

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


async def together(calls: Iterable[Awaitable[Answer]]) -> Counter[int]:
    """The statuses of calls made at once."""
    return Counter(answer.status for answer in await asyncio.gather(*calls))
