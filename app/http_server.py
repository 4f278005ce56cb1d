"""Serving HTTP: the sockets, which are bound before any slow work begins, and uvicorn on them."""

import asyncio
import contextlib
import errno
import gc
import importlib
import resource
import signal
import socket
import threading
from collections.abc import Callable, Generator

import structlog
import uvicorn
import uvloop
from starlette.types import ASGIApp

from app.core import logs
from app.core.settings import CannotStart, Settings
from app.core.startup import starting
from app.database import migration

log = structlog.get_logger()

BACKLOG = 2048
# The time limit for running answers when the service stops.
GRACE_SECONDS = 3
# The number of new objects after which the collector runs. Python's 700 are reached by a few requests.
GC_THRESHOLD = 10_000
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Imported inside the functions that use them: together they are a fifth of the time of a start.
LATE_MODULES = ("pgqueuer", "webauthn", "qrcode.main", "xlsxwriter", "pypinyin")


def listen(host: str, port: int) -> list[socket.socket]:
    """Listen on every address of `host`; `localhost` is 127.0.0.1 and, where IPv6 exists, ::1.

    Connections before the service is ready wait. Raises CannotStart.
    """
    # Browsers try both addresses for localhost, independent of the machine's hosts file.
    names = ["127.0.0.1", "::1"] if host == "localhost" else [host]
    addresses: list[tuple[socket.AddressFamily, tuple[object, ...]]] = []
    try:
        for name in names:
            for kind, _, _, _, place in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM):
                addresses.append((kind, place))
    except (OSError, UnicodeError) as error:
        raise CannotStart(f"XUEZU_HOST={host} is no address of this machine: use localhost or 0.0.0.0.") from error
    sockets: list[socket.socket] = []
    refused: OSError | None = None
    try:
        for family, address in addresses:
            try:
                sockets.append(_listen_on(family, address))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise CannotStart(
                        f"Port {port} of {host} is taken by another program: stop that one, or choose another port "
                        f"with XUEZU_PORT={port + 1 if port < 65535 else 8000}."
                    ) from error
                if error.errno == errno.EACCES:
                    raise CannotStart(
                        f"This user may not listen on port {port}: choose one above 1023 with XUEZU_PORT=8000."
                    ) from error
                refused = error  # for example without IPv6: the other addresses can work
        if not sockets:
            reason = refused.strerror if refused else "it has no address"
            raise CannotStart(f"XUEZU_HOST={host} cannot be listened on ({reason}): use localhost or 0.0.0.0.")
    except BaseException:
        for opened in sockets:
            opened.close()
        raise
    return sockets


def _listen_on(family: socket.AddressFamily, address: tuple[object, ...]) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(address)
        opened.listen(BACKLOG)
        opened.setblocking(False)
    except BaseException:
        opened.close()
        raise
    return opened


def build_server_config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """Return uvicorn's configuration."""
    return uvicorn.Config(
        app,
        http="app.web.http_protocol:HttpProtocol",  # a name: it is imported with the service, after the checks
        timeout_keep_alive=settings.keep_alive_seconds,
        log_config=None,
        access_log=False,  # `middleware.request_log` writes the log lines, without query strings
        server_header=False,
        lifespan="on",
        ws="none",
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


class Server(uvicorn.Server):
    """uvicorn with a callback at readiness. After a stop signal the process stays alive for its clean-up.

    `on_stop` is called when the server begins to stop, before it waits for running answers.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        on_ready: Callable[[], None],
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(build_server_config(app, settings))
        self._on_ready = on_ready
        self._on_stop = on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # Objects of the start live for ever: frozen objects are not scanned under load (p99 79 → 26 ms).
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        # uvicorn's own method raises the signal again at the end: the process would end before PostgreSQL stops.
        previous = {number: signal.signal(number, self.handle_exit) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def serve(settings: Settings) -> None:
    """Serve the API over `settings.database_url` until a stop signal. Raises CannotStart."""
    assert settings.database_url is not None
    sockets = listen(settings.host, settings.port)
    asyncio.run(migration.require_head(settings.database_url.get_secret_value()))
    logs.configure(settings.log_format or "json", process="api")
    raise_file_limit()
    # The import of the whole service is slow, so it follows the checks.
    with starting():
        from app.blind_index.key_checks import require_keys
        from app.main import create_app
        from app.web.event_stream import STREAMS

    asyncio.run(require_keys(settings))

    app = create_app(settings)

    def ready() -> None:
        log.info("ready", address=settings.public_url)
        warm_up()

    # Event streams have no end of their own: the server ends them when it stops.
    server = Server(app, settings, ready, STREAMS.get(app).end_all)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve(sockets))
    log.info("stopped")


def warm_up() -> threading.Thread:
    """Import the late modules in a thread and return the thread. Otherwise the first request that needs one would block
    the event loop for up to 0.2 s.

    The process does not end before the thread: an interpreter that ends while a thread imports can hang.
    """
    thread = threading.Thread(target=_import_late_modules, name="warm-up")
    thread.start()
    return thread


def _import_late_modules() -> None:
    from app.orgs.regions import load_regions

    with starting():
        load_regions()
        for name in LATE_MODULES:
            importlib.import_module(name)


def raise_file_limit() -> None:
    """Raise the soft limit of open files to the hard one: 10,000 waiting browsers are 10,000 files; the usual limit is
    1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS reports a higher limit than it allows
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
