"""The service on a real socket, for external clients: in a thread with its own event loop."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
import uvloop

from app.core.settings import Settings
from app.http_server import build_server_config
from app.main import create_app


@contextmanager
def serve_in_thread(settings: Settings, *, public_url: str | None = None) -> Iterator[str]:
    """Run the service with these settings in a thread, on a free port of localhost, until the block ends. Yield its
    address, which is also the issuer of tokens unless a proxy in front has another one (`public_url`)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        url = f"http://localhost:{port}"
        settings = settings.model_copy(update={"port": port, "public_url": public_url or url})
        server = uvicorn.Server(build_server_config(create_app(settings), settings))
        thread = threading.Thread(target=lambda: uvloop.run(server.serve([listener])), daemon=True)
        thread.start()
        try:
            while not server.started:
                if not thread.is_alive():
                    raise RuntimeError("the server did not start")
                threading.Event().wait(0.01)
            yield url
        finally:
            server.should_exit = True
            thread.join(10)
