"""Processes that are kept running: the worker of `xuezu run`, and the processes of `xuezu serve --workers`."""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

from app.core import service_manager
from app.core.settings import CannotStart, Settings

log = structlog.get_logger()

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
STEADY_SECONDS = 60.0  # a process that ran this long is started again after the shortest pause
STOP_SECONDS = 10
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SILENT_SECONDS = 30.0
"""A process of `serve --workers` without a sign of life for so long is killed and replaced."""
START_SECONDS = 120.0
"""A process of `serve --workers` that is not ready after this time is killed and replaced."""


async def keep_running(
    start: Callable[[], Awaitable[Process]],
    show_end: Callable[[str, float], None],
    *,
    watch: Callable[[Process], Awaitable[None]] | None = None,
) -> NoReturn:
    """Start a process, and again whenever it ends, until this is cancelled; then end the process.

    The pause before a restart doubles while the process ends early. `show_end` gets how the process ended and the
    pause in seconds. `watch` runs beside the process and returns when the process must be killed.
    """
    pause = FIRST_PAUSE
    while True:
        started = time.monotonic()
        process = await start()
        watching = asyncio.create_task(_kill_after(watch(process), process)) if watch else None
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            await end_process(process)
            raise
        finally:
            if watching is not None:
                watching.cancel()
        if time.monotonic() - started > STEADY_SECONDS:
            pause = FIRST_PAUSE
        show_end(f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}", pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


async def _kill_after(watched: Awaitable[None], process: Process) -> None:
    await watched
    with contextlib.suppress(ProcessLookupError):
        process.kill()


async def end_process(process: Process) -> None:
    """Ask the process to end, and kill it if it does not within STOP_SECONDS."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


class _ServingProcess:
    """One of the processes that serve the API on the same sockets."""

    def __init__(self, number: int, settings: Settings, sockets: list[socket.socket]) -> None:
        self.number = number
        self.ready = asyncio.Event()
        self._settings = settings
        self._inherited = [opened.fileno() for opened in sockets]
        # The process sends its signs of life as it would to systemd. The address is in Linux's abstract namespace: it
        # needs no writable directory and ends with this process.
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._manager.setblocking(False)
        self._address = f"@xuezu-{secrets.token_hex(8)}"  # containers of a pod share the namespace
        self._manager.bind(f"\0{self._address[1:]}")

    async def run(self) -> NoReturn:
        await keep_running(self._start, self._show_end, watch=self._watch)

    async def _start(self) -> Process:
        with contextlib.suppress(BlockingIOError):
            while self._manager.recv(4096):  # the last messages of the process before
                pass
        environment = os.environ | {
            "NOTIFY_SOCKET": self._address,
            "WATCHDOG_USEC": str(int(SILENT_SECONDS / 2 * 1_000_000)),
        }
        environment.pop("WATCHDOG_PID", None)
        if self._settings.metrics_port is not None:
            environment["XUEZU_METRICS_PORT"] = str(self._settings.metrics_port + self.number)
        return await create_subprocess_exec(
            sys.executable,
            *("-m", "app.cli", "serve", "--while-stdin-open", "--sockets", ",".join(map(str, self._inherited))),
            stdin=PIPE,  # closes when this process ends in whatever way: the process ends too
            pass_fds=self._inherited,
            env=environment,
            start_new_session=True,  # the terminal's Ctrl-C reaches only this process
        )

    async def _watch(self, process: Process) -> None:
        """Return when the process has been silent for too long."""
        loop = asyncio.get_running_loop()
        limit = START_SECONDS
        while True:
            try:
                async with asyncio.timeout(limit):
                    message = await loop.sock_recv(self._manager, 4096)
            except TimeoutError:
                log.error("process_silent", number=self.number, pid=process.pid, seconds=limit)
                return
            if service_manager.READY.encode() in message.split(b"\n"):
                self.ready.set()
            if self.ready.is_set():
                limit = SILENT_SECONDS

    def _show_end(self, how: str, pause: float) -> None:
        self.ready.clear()
        log.error("process_ended", number=self.number, how=how, again_in_seconds=pause)


def check_metrics_ports(settings: Settings, count: int) -> None:
    """Raise CannotStart if there is no port for the metrics of each process."""
    if settings.metrics_port is not None and settings.metrics_port + count - 1 > 65535:
        raise CannotStart(
            f"--workers {count} needs {count} ports from XUEZU_METRICS_PORT={settings.metrics_port} on: choose a lower "
            "one."
        )


async def serve_with_processes(settings: Settings, count: int, sockets: list[socket.socket]) -> None:
    """Serve the API with `count` processes on these bound sockets until a stop signal.

    A process that dies or hangs is replaced; the others go on, and no connection that waits in the queue of the sockets
    is lost. If this process dies, they end. The service manager hears READY when all are ready for the first time.
    """
    if sys.platform != "linux":
        raise CannotStart("--workers works on Linux only: start one process, or several on ports of their own.")
    processes = [_ServingProcess(number, settings, sockets) for number in range(count)]
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stopping.set)
    async with service_manager.send_signs_of_life(lambda: any(process.ready.is_set() for process in processes)):
        running = [asyncio.create_task(process.run()) for process in processes]
        announcing = asyncio.create_task(_announce_readiness(processes))
        await stopping.wait()
        service_manager.notify(service_manager.STOPPING)
        announcing.cancel()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _announce_readiness(processes: list[_ServingProcess]) -> None:
    for process in processes:
        await process.ready.wait()
    service_manager.notify(service_manager.READY)
    log.info("all_ready", processes=len(processes))
