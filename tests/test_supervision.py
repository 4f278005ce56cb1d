"""Several processes on one port, the messages to the service manager, and when the service begins to listen."""

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from app import supervision
from app.core import service_manager
from app.core.settings import CannotStart, Settings
from app.supervision import check_metrics_ports, keep_running
from tests.conftest import migrated_database
from tests.processes import Program, find_free_port, has_ended, program, wait_until

SERVE = (sys.executable, "-m", "app.cli", "serve")

# The last step before the service can answer takes a tenth of a second: here it takes two seconds more.
SLOW_SERVE = """
import sys, time
import app.cli, app.main

def create_slowly(settings, create=app.main.create_app):
    print("creating", flush=True)
    time.sleep(2)
    return create(settings)

app.main.create_app = create_slowly
sys.argv = ["xuezu", "serve"]
app.cli.main()
"""


@pytest.fixture
def settings_of(server_url: str, worker_id: str, directory: Path) -> dict[str, object]:
    url = migrated_database(server_url, f"supervised_{worker_id}")
    return {"XUEZU_DATABASE_URL": url, "XUEZU_PORT": find_free_port(), "XUEZU_DATA_DIR": directory}


@contextmanager
def service_manager_socket(directory: Path) -> Iterator[tuple[list[str], str]]:
    """The messages that come to a socket such as systemd gives to a unit with Type=notify, and its address."""
    path, messages = str(directory / "notify"), list[str]()

    def read() -> None:
        while message := opened.recv(100):
            messages.append(message.decode())

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as opened:
        opened.bind(path)
        reader = threading.Thread(target=read)
        reader.start()
        yield messages, path
        opened.shutdown(socket.SHUT_RD)
        reader.join()


def receive(messages: list[str], message: str) -> None:
    wait_until(lambda: message in messages)


def serving(supervisor: Program) -> list[psutil.Process]:
    return [child for child in supervisor.children() if "--sockets" in child.cmdline()]


@pytest.mark.long
def test_processes_share_a_port_are_replaced_and_end_together(settings_of: dict[str, object], directory: Path) -> None:
    url = f"http://127.0.0.1:{settings_of['XUEZU_PORT']}/readyz"
    with (
        service_manager_socket(directory) as (manager, path),
        program(*SERVE, "--workers", "2", NOTIFY_SOCKET=path, WATCHDOG_USEC="2000000", **settings_of) as supervisor,
    ):
        receive(manager, service_manager.READY)
        receive(manager, service_manager.ALIVE)
        first, second = serving(supervisor)
        assert httpx.get(url).status_code == 200

        first.kill()
        supervisor.wait_to_say("process_ended")
        assert httpx.get(url).status_code == 200  # by the other one
        wait_until(lambda: supervisor.output.count('"event":"ready"') + supervisor.output.count(" ready ") >= 3)
        replaced = {child.pid for child in serving(supervisor)}
        assert len(replaced) == 2
        assert second.pid in replaced
        assert first.pid not in replaced

        assert supervisor.stop(signal.SIGTERM) == 0
        receive(manager, service_manager.STOPPING)
        assert all(has_ended(pid) for pid in replaced)
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_processes_end_when_their_supervisor_is_killed(settings_of: dict[str, object]) -> None:
    with program(*SERVE, "--workers", "2", **settings_of) as supervisor:
        supervisor.wait_to_say("all_ready")
        processes = serving(supervisor)
        supervisor.stop(signal.SIGKILL)
        wait_until(lambda: all(has_ended(process.pid) for process in processes))


def test_service_listens_when_it_can_answer(settings_of: dict[str, object]) -> None:
    port = settings_of["XUEZU_PORT"]
    assert isinstance(port, int)
    with program(sys.executable, "-c", SLOW_SERVE, **settings_of) as starting:
        starting.wait_to_say("creating")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        while True:
            try:
                answer = httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=60)
                break
            except httpx.ConnectError:
                time.sleep(0.02)
        assert answer.status_code == 200  # the first connection that is accepted is answered


def test_port_that_is_taken_during_the_start_is_refused(settings_of: dict[str, object]) -> None:
    port = settings_of["XUEZU_PORT"]
    assert isinstance(port, int)
    with program(sys.executable, "-c", SLOW_SERVE, **settings_of) as starting:
        starting.wait_to_say("creating")
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", port))
            other.listen()
            assert starting.process.wait(60) == 1
    assert "xuezu: The port was taken by another program during the start" in starting.output


def test_worker_reports_to_the_service_manager(settings_of: dict[str, object], directory: Path) -> None:
    with (
        service_manager_socket(directory) as (manager, path),
        program(
            sys.executable, "-m", "app.cli", "worker", NOTIFY_SOCKET=path, WATCHDOG_USEC="2000000", **settings_of
        ) as (worker),
    ):
        receive(manager, service_manager.READY)
        receive(manager, service_manager.ALIVE)
        assert worker.stop(signal.SIGTERM) == 0
        receive(manager, service_manager.STOPPING)


async def test_hung_process_is_killed_and_started_again() -> None:
    ends: list[str] = []
    started: list[asyncio.subprocess.Process] = []
    again = asyncio.Event()

    async def start() -> asyncio.subprocess.Process:
        started.append(await asyncio.create_subprocess_exec("sleep", "100"))
        if len(started) > 1:
            again.set()
        return started[-1]

    async def watch(_: asyncio.subprocess.Process) -> None:
        if len(started) > 1:
            await asyncio.sleep(100)

    running = asyncio.create_task(keep_running(start, lambda how, _: ends.append(how), watch=watch))
    async with asyncio.timeout(30):
        await again.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert ends == ["was killed by signal 9"]
    assert started[1].returncode == -signal.SIGTERM


async def test_silence_of_a_process_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "SILENT_SECONDS", 0.3)
    process = supervision._ServingProcess(0, Settings(), [])
    sleeping = await asyncio.create_subprocess_exec("sleep", "100")
    monkeypatch.setenv("NOTIFY_SOCKET", process._address)
    try:
        watching = asyncio.create_task(process._watch(sleeping))
        await asyncio.sleep(0.5)
        assert not watching.done()  # a start may take longer
        service_manager.notify(service_manager.READY)
        async with asyncio.timeout(30):
            await watching
        assert process.ready.is_set()
    finally:
        sleeping.kill()
        await sleeping.wait()
        process._manager.close()


def test_every_process_has_a_port_for_its_metrics() -> None:
    check_metrics_ports(Settings(metrics_port=65530), 6)
    with pytest.raises(CannotStart, match="needs 7 ports from XUEZU_METRICS_PORT=65530 on"):
        check_metrics_ports(Settings(metrics_port=65530), 7)


def test_nothing_is_sent_without_a_service_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    service_manager.notify(service_manager.READY)
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/at/all")
    service_manager.notify(service_manager.READY)
    monkeypatch.setenv("WATCHDOG_USEC", "5000000")
    assert service_manager.get_watchdog_seconds() == 5
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))
    assert service_manager.get_watchdog_seconds() is None
