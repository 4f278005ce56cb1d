"""The position of each write in the write-ahead log, for services that read from a standby."""

import asyncio

from fastapi import FastAPI
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.database.db import POOL, READS
from app.database.replica import CONNECTION_ERRORS, MAX_LAG, NEVER_REPLAYED, REPLICA
from app.database.replica_reads import CONSISTENCY_COOKIE, CONSISTENCY_HEADER

_POSITION = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS position"
ANSWER_SECONDS = 1
COOKIE_SECONDS = int(2 * MAX_LAG)


class Consistency:
    """Add `X-Consistency` to the answer to each request that may have written. A read that sends the value back
    contains that write (`app.database.replica_reads`).

    A browser gets it as a cookie too, since a page cannot send a header when the user follows a link.
    """

    def __init__(self, app: ASGIApp, service: FastAPI, *, https: bool) -> None:
        self.app = app
        self._service = service
        self._attributes = f"; Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax{'; Secure' if https else ''}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in READS:
            await self.app(scope, receive, send)
            return

        async def send_with_position(message: Message) -> None:
            replica = REPLICA.get(self._service)
            if message["type"] == "http.response.start" and replica is not None and message["status"] < 400:
                token = replica.seal(await self._read_position())
                headers = [*message["headers"], (CONSISTENCY_HEADER.lower().encode(), token.encode())]
                if HTTPConnection(scope).cookies:
                    headers.append((b"set-cookie", f"{CONSISTENCY_COOKIE}={token}{self._attributes}".encode()))
                message = {**message, "headers": headers}
            await send(message)

        await self.app(scope, receive, send_with_position)

    async def _read_position(self) -> int:
        """Return a position after everything that is committed now. If the primary does not say, return a position that
        no standby ever reaches: the write is done, and the reads that follow go to the primary."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return int((await POOL.get(self._service).fetch(_POSITION))[0]["position"])
        except CONNECTION_ERRORS:
            return NEVER_REPLAYED
