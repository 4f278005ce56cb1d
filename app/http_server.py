"""Serving HTTP: the sockets, which are bound before any slow work begins and listen when the service can answer, and
uvicorn on them."""

import asyncio
import contextlib
import errno
import gc
import importlib
import resource
import signal
import socket
import threading
from collections.abc import Callable, Generator, Sequence

import structlog
import uvicorn
import uvloop
from starlette.types import ASGIApp

from app.core import logs, service_manager
from app.core.settings import CannotStart, Settings
from app.core.startup import GC_THRESHOLD, starting
from app.database import migration
from app.supervision import STOP_SIGNALS, check_metrics_ports, serve_with_processes

log = structlog.get_logger()

BACKLOG = 2048
# The time limit for running answers when the service stops.
GRACE_SECONDS = 3
# Imported inside the functions that use them: together they are a fifth of the time of a start.
LATE_MODULES = ("pgqueuer", "webauthn", "qrcode.main", "xlsxwriter", "pypinyin")


def bind(host: str, port: int, *, settings: str = "XUEZU") -> list[socket.socket]:
    """Bind sockets to every address of `host`; `localhost` is 127.0.0.1 and, where IPv6 exists, ::1.

    They do not listen yet: connections are refused until the server that gets the sockets can answer. `settings` is how
    the names of the two settings begin, for the errors. Raises CannotStart.
    """
    # Browsers try both addresses for localhost, independent of the machine's hosts file.
    names = ["127.0.0.1", "::1"] if host == "localhost" else [host]
    addresses: list[tuple[socket.AddressFamily, tuple[object, ...]]] = []
    try:
        for name in names:
            for kind, _, _, _, place in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM):
                addresses.append((kind, place))
    except (OSError, UnicodeError) as error:
        raise CannotStart(f"{settings}_HOST={host} is no address of this machine: use localhost or 0.0.0.0.") from error
    sockets: list[socket.socket] = []
    refused: OSError | None = None
    try:
        for family, address in addresses:
            try:
                sockets.append(_bind_to(family, address))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise CannotStart(
                        f"Port {port} of {host} is taken by another program: stop that one, or choose another port "
                        f"with {settings}_PORT={port + 1 if port < 65535 else 8000}."
                    ) from error
                if error.errno == errno.EACCES:
                    raise CannotStart(
                        f"This user may not listen on port {port}: choose one above 1023 with {settings}_PORT=8000."
                    ) from error
                refused = error  # for example without IPv6: the other addresses can work
        if not sockets:
            reason = refused.strerror if refused else "it has no address"
            raise CannotStart(f"{settings}_HOST={host} cannot be listened on ({reason}): use localhost or 0.0.0.0.")
    except BaseException:
        for opened in sockets:
            opened.close()
        raise
    return sockets


def bind_for_metrics(settings: Settings) -> list[socket.socket]:
    """Bind sockets to XUEZU_METRICS_PORT, if it is set. Raises CannotStart."""
    if settings.metrics_port is None:
        return []
    return bind(settings.metrics_host, settings.metrics_port, settings="XUEZU_METRICS")


def _bind_to(family: socket.AddressFamily, address: tuple[object, ...]) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(address)
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
        proxy_headers=False,  # uvicorn believes every caller on this machine; `middleware.caller_address` does not
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
        try:
            await super().startup(sockets)
            for opened in sockets or ():
                opened.listen(BACKLOG)  # it listens already, unless uvloop has ignored an error and closed it
        except OSError as error:
            await self.lifespan.shutdown()
            if error.errno not in (errno.EADDRINUSE, errno.EBADF):
                raise
            # Two programs can bind to one port as long as neither listens.
            raise CannotStart("The port was taken by another program during the start: stop that one.") from error
        # Objects of the start live for ever: frozen objects are not scanned under load (p99 79 → 26 ms).
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        service_manager.notify(service_manager.STOPPING)
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


def serve(settings: Settings, *, processes: int = 1, inherited: Sequence[int] = ()) -> None:
    """Serve the API over `settings.database_url` until a stop signal. Raises CannotStart.

    With several processes this one only supervises them. `inherited` are the file descriptors of the bound sockets in
    one of them.
    """
    check_metrics_ports(settings, processes)
    sockets = [socket.socket(fileno=number) for number in inherited] or bind(settings.host, settings.port)
    metrics_sockets = bind_for_metrics(settings) if processes == 1 else []
    asyncio.run(migration.require_compatible_database(settings.session_url))
    logs.configure(settings.log_format or "json", process="api")
    if processes > 1:
        asyncio.run(serve_with_processes(settings, processes, sockets))
        log.info("stopped")
        return
    raise_file_limit()
    # The import of the whole service is slow, so it follows the checks.
    with starting():
        from app.blind_index.key_checks import require_keys
        from app.main import create_app
        from app.monitoring.api_gauges import serve_api_metrics
        from app.web.event_stream import STREAMS

    asyncio.run(require_keys(settings))

    app = create_app(settings)

    def ready() -> None:
        log.info("ready", address=settings.public_url)
        service_manager.notify(service_manager.READY)
        warm_up()

    # Event streams have no end of their own: the server ends them when it stops.
    server = Server(app, settings, ready, STREAMS.get(app).end_all)

    async def serve_with_metrics() -> None:
        async with service_manager.send_signs_of_life(), serve_api_metrics(app, metrics_sockets):
            await server.serve(sockets)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve_with_metrics())
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
