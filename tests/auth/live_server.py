"""The service on a real socket, for tests that an in-memory transport cannot serve: streams and third-party clients."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from fastapi import FastAPI

from app.core.settings import Settings
from app.main import create_app


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the test run has its own signal handlers


@contextlib.asynccontextmanager
async def serve_app(app: FastAPI, port: int = 0) -> AsyncIterator[str]:
    """Serve an app whose lifespan has already started, on this port or any free port. Yield its address."""
    listening = socket.create_server(("127.0.0.1", port))
    server = _Server(uvicorn.Config(app, lifespan="off", log_config=None, ws="none", timeout_graceful_shutdown=2))
    serving = asyncio.create_task(server.serve([listening]))
    try:
        while not server.started:  # noqa: ASYNC110 — uvicorn has no event for it
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        listening.close()


@contextlib.asynccontextmanager
async def serve_at_own_address(settings: Settings) -> AsyncIterator[FastAPI]:
    """Serve a new app over the same database. Its public URL, and therefore its issuer, is its real address."""
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://localhost:{listening.getsockname()[1]}"
    listening.close()
    app = create_app(settings.model_copy(update={"public_url": url}))
    async with app.router.lifespan_context(app), serve_app(app, int(url.rpartition(":")[2])):
        yield app
