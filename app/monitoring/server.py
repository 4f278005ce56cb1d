"""`/metrics` of one process, on a port of its own."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from socket import socket

import prometheus_client
import structlog
import uvicorn
from prometheus_client import GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.core.metrics import REGISTRY, Gauge

log = structlog.get_logger()

CACHE_SECONDS = 10.0
"""The gauges are asked for at most this often, however many read the metrics."""
REFRESH_SECONDS = 3.0
"""Metrics are shown without the gauges that are not known after this time."""

REFRESH_FAILED = Gauge("metrics_incomplete", "1 while the gauges of this process cannot be read, otherwise 0")

# A second series for each one, which nothing reads.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves this function untyped
for collector in (ProcessCollector, PlatformCollector, GCCollector):
    collector(registry=REGISTRY)

Refresh = Callable[[], Awaitable[None]]
"""Sets the gauges of this process. It may raise any error; gauges without a known value must have none then."""


class _Metrics:
    def __init__(self, refresh: Refresh) -> None:
        self._refresh = refresh
        self._lock = asyncio.Lock()
        self._refreshed: float | None = None

    async def show(self, request: Request) -> Response:
        await self._refresh_gauges()
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        body = await asyncio.to_thread(encode, REGISTRY)  # some ms for the series of all routes
        return Response(body, headers={"Content-Type": content_type})

    async def _refresh_gauges(self) -> None:
        async with self._lock:
            now = time.monotonic()
            if self._refreshed is not None and now - self._refreshed < CACHE_SECONDS:
                return
            try:
                async with asyncio.timeout(REFRESH_SECONDS):
                    await self._refresh()
                REFRESH_FAILED.set(0)
            except Exception as error:
                REFRESH_FAILED.set(1)
                log.warning("metrics_incomplete", error=type(error).__name__)
            self._refreshed = time.monotonic()


class _Server(uvicorn.Server):
    """A server beside another one in the same process: it leaves the signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@asynccontextmanager
async def serve_metrics(sockets: list[socket], refresh: Refresh) -> AsyncIterator[None]:
    """Serve the metrics of this process on the sockets during the block; without sockets, do nothing."""
    if not sockets:
        yield
        return
    app = Starlette(routes=[Route("/metrics", _Metrics(refresh).show)])
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, lifespan="off", ws="none", proxy_headers=False
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets))
    try:
        yield
    finally:
        server.should_exit = server.force_exit = True
        await serving
