"""`xuezu run`: the whole service on one machine with one command: PostgreSQL, migrations, the worker and the API."""

import asyncio
import contextlib
import importlib
import os
import signal
import sys
import threading
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections.abc import AsyncIterator, Iterator
from socket import socket
from types import FrameType
from typing import Self

import uvloop
from pydantic import SecretStr

from app.core import logs
from app.core.data_dir import lock_data_dir
from app.core.plugins import load_development_routes
from app.core.settings import Settings
from app.core.startup import starting
from app.database import migration
from app.embedded import require_embedded
from app.http_server import Server, bind, bind_for_metrics, raise_file_limit, warm_up
from app.supervision import STOP_SIGNALS, keep_running

PLACES = {"Docs explorer   ": "/docs", "Console 管理后台": "/console/", "Phone 手机模拟器": "/phone/"}
"""What `xuezu run` announces of the service, where it is served: the simulator exists only in development."""


class Stopped(BaseException):
    """A stop signal came before the service was ready."""


def print_line(line: str) -> None:
    """Print one line on stdout, unbuffered. A closed terminal is not an error."""
    with contextlib.suppress(OSError):
        os.write(1, f"{line}\n".encode())


class Steps:
    """Print each step before it begins.

    The first stop signal takes effect between two steps, a second one immediately.
    """

    def __init__(self) -> None:
        self.stopping = False

    def __call__(self, line: str) -> None:
        if self.stopping:
            raise Stopped
        print_line(line)

    def __enter__(self) -> Self:
        for number in STOP_SIGNALS:
            signal.signal(number, self._handle_signal)
        return self

    def __exit__(self, *_: object) -> None:
        # The clean-up follows; no further signal may interrupt it.
        for number in STOP_SIGNALS:
            signal.signal(number, lambda _number, _frame: None)

    def _handle_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.stopping:
            raise Stopped
        self.stopping = True
        print_line("Stopping after this step")


def run(settings: Settings) -> None:
    """Run the whole service until a stop signal. Raises CannotStart."""
    with contextlib.suppress(Stopped), contextlib.ExitStack() as stack, Steps() as steps:
        sockets, metrics_sockets = bind(settings.host, settings.port), bind_for_metrics(settings)
        for opened in sockets + metrics_sockets:
            stack.callback(opened.close)
        # While PostgreSQL starts in its own processes, a thread imports the service, which takes as long. The thread is
        # not a daemon: an interpreter that ends while a thread imports can hang.
        importing = threading.Thread(target=_import_service, args=(settings,), name="import")
        importing.start()
        if settings.database_url is None:
            stack.enter_context(lock_data_dir(settings.data_dir))
            settings.database_url = SecretStr(stack.enter_context(_run_embedded(settings, steps)))
        # Migrations import modules too. Two threads that import modules that import each other can deadlock.
        importing.join()
        steps("Looking at the database")
        asyncio.run(migration.migrate_to_head(settings.schema_url, show=steps))
        with starting():
            from app.blind_index.key_checks import require_keys
        asyncio.run(require_keys(settings))
        steps("Starting the API and the worker")
        logs.configure(settings.log_format or "console", process="api")
        raise_file_limit()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, sockets, metrics_sockets, steps))
    print_line("Stopped.")


def _import_service(settings: Settings) -> None:
    """Import the modules that `_serve` needs. Errors are ignored: the import in `_serve` raises them again."""
    with contextlib.suppress(Exception), starting():
        importlib.import_module("app.main")
        if settings.development:
            load_development_routes()


@contextlib.contextmanager
def _run_embedded(settings: Settings, steps: Steps) -> Iterator[str]:
    """Run the embedded PostgreSQL for the block and return the address of its database. Raises CannotStart."""
    require_embedded()
    from app.embedded import postgres

    with postgres.run_server(settings.data_dir / "postgres", show=steps) as server:
        try:
            yield server.build_url()
        finally:
            print_line("Stopping PostgreSQL")


async def _serve(settings: Settings, sockets: list[socket], metrics_sockets: list[socket], steps: Steps) -> None:
    with starting():
        from app.main import create_app
        from app.monitoring.api_gauges import serve_api_metrics
        from app.web.event_stream import STREAMS

    api_ready = asyncio.Event()

    def ready() -> None:
        api_ready.set()
        if steps.stopping:  # the stop signal came before the server handled signals itself
            server.should_exit = True
            return
        here = settings.public_url
        served = {getattr(route, "path", "") for route in app.routes}
        print_line("")
        print_line("Xuezu is ready. 学组已就绪。")
        for name, path in PLACES.items():
            if path in served:
                print_line(f"  {name} {here}{path}")
        print_line(f"Ctrl-C stops it. The data stays in {settings.data_dir}.")
        print_line("")
        warm_up()

    async with _run_supervised_worker(settings, api_ready):
        app = create_app(settings)
        server = Server(app, settings, ready, STREAMS.get(app).end_all)
        async with serve_api_metrics(app, metrics_sockets):
            await server.serve(sockets)
        print_line("Stopping the worker")


@contextlib.asynccontextmanager
async def _run_supervised_worker(settings: Settings, api_ready: asyncio.Event) -> AsyncIterator[None]:
    """Keep a worker running from the moment the API answers. Before that it would take processor time from the API."""
    supervisor = asyncio.create_task(_supervise_worker(settings, api_ready))
    try:
        yield
    finally:
        supervisor.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await supervisor


async def _supervise_worker(settings: Settings, api_ready: asyncio.Event) -> None:
    """Start the worker when the API is ready, and again whenever it ends.

    The pause before a restart doubles while the worker ends early.
    """
    await api_ready.wait()

    async def start() -> Process:
        return await _start_worker(settings)

    def show_end(how: str, pause: float) -> None:
        print_line(f"The worker {how}: starting it again in {pause:.0f} s")

    await keep_running(start, show_end)


_ADDRESS_PARTS = {
    *("XUEZU_DATABASE_PASSWORD", "XUEZU_DATABASE_PASSWORD_FILE", "XUEZU_DATABASE_URL_FILE", "XUEZU_DIRECT_URL_FILE"),
}
"""What the complete addresses of the worker replace."""


async def _start_worker(settings: Settings) -> Process:
    """Start the worker as a process of its own, which the terminal's Ctrl-C does not reach.

    It watches its stdin: if this process dies, the pipe closes and the worker ends.
    """
    assert settings.database_url is not None
    # These addresses have their passwords already.
    addresses = {"XUEZU_DATABASE_URL": settings.database_url.get_secret_value()}
    if settings.direct_url is not None:
        addresses["XUEZU_DIRECT_URL"] = settings.direct_url.get_secret_value()
    return await create_subprocess_exec(
        sys.executable,
        *("-m", "app.cli", "worker", "--while-stdin-open"),
        stdin=PIPE,
        env={name: value for name, value in os.environ.items() if name not in _ADDRESS_PARTS}
        | addresses
        # The port after that of the API, which serves its metrics in this process.
        | ({"XUEZU_METRICS_PORT": str(settings.metrics_port + 1)} if settings.metrics_port else {}),
        start_new_session=True,
    )
