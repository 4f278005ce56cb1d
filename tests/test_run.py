"""`xuezu run` as a process: it serves, stops, keeps its data, and explains why it cannot start."""

import json
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
from pydantic import SecretStr

from app import cli
from app import run as app_run
from app.commands.configuration import read_settings
from app.core.settings import CannotStart, Settings, make_key
from app.database import migration
from app.embedded import postgres
from app.http_server import GRACE_SECONDS, bind
from tests.processes import PATIENCE, Program, find_free_port, has_ended, program, run_refused, wait_until

RUN = (sys.executable, "-m", "app.cli", "run")
READY = "Xuezu is ready"


def worker_of(running: Program) -> psutil.Process:
    wait_until(lambda: any("worker" in child.cmdline() for child in running.children()))
    (worker,) = [child for child in running.children() if "worker" in child.cmdline()]
    return worker


@contextmanager
def waiting_console(url: str) -> Iterator[Iterator[bytes]]:
    """The event stream of a console that waits for a scan, after the first event."""
    with httpx.Client(base_url=url, timeout=20) as browser:
        client_id = browser.post("/v1/simulator/clients", json={"kind": "device", "scopes": ["account:read"]}).json()[
            "client_id"
        ]
        device = browser.post("/oauth/device_authorization", data={"client_id": client_id}).json()
        address = f"/v1/device-authorizations/{device['user_code']}"
        assert browser.put(f"{address}/ticket", json={"device_code": device["device_code"]}).status_code == 204
        with browser.stream("GET", f"{address}/events") as stream:
            chunks = stream.iter_bytes()
            assert b"pending" in next(chunks)
            yield chunks


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as tried:
            tried.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.long
def test_run_survives_other_runs_and_killed_processes(directory: Path) -> None:
    """One long test, because each start of the whole service costs seconds."""
    data, port = directory / "data", find_free_port()
    settings = {"XUEZU_DATA_DIR": data, "XUEZU_PORT": port}
    with program(*RUN, **settings) as first:
        first.wait_to_say(READY)
        for address in ("127.0.0.1", "[::1]") if has_ipv6() else ("127.0.0.1",):
            assert httpx.get(f"http://{address}:{port}/readyz").json()["status"] == "ready"
        for place in ("/docs", "/console/", "/phone/"):
            assert f"http://localhost:{port}{place}" in first.output
        server = postgres.find_running(data / "postgres")
        assert server is not None
        server.execute("CREATE TABLE stored AS SELECT 'still here' AS word", database=postgres.DATABASE)

        # A second run with the same directory or with the same port is refused immediately.
        refused = run_refused("run", XUEZU_DATA_DIR=data, XUEZU_PORT=find_free_port())
        assert f"is in use by another run (process {first.process.pid})" in refused
        other = directory / "other"
        assert f"XUEZU_PORT={port + 1}" in run_refused("run", XUEZU_DATA_DIR=other, XUEZU_PORT=port)
        assert not (other / "postgres").exists()

        # A killed worker is started again; a worker whose parent is killed ends.
        worker_of(first).kill()
        first.wait_to_say("The worker was killed by signal 9: starting it again in 1 s")
        worker = worker_of(first)
        first.stop(signal.SIGKILL)
        wait_until(lambda: has_ended(worker.pid))

    # PostgreSQL is still running: the next run uses it, and stops it at the end.
    assert postgres.find_running(data / "postgres") == server
    with program(*RUN, **settings) as second:
        second.wait_to_say(READY)
        assert f"still running from before (process {server.pid})" in second.output
        assert server.execute("SELECT word FROM stored", database=postgres.DATABASE) == "still here"
        worker = worker_of(second)
        with waiting_console(f"http://localhost:{port}") as chunks:
            began = time.monotonic()
            second.process.send_signal(signal.SIGTERM)
            assert list(chunks) == []  # the stream ends completely and within the time limit
            assert time.monotonic() - began < GRACE_SECONDS
        assert second.process.wait(PATIENCE) == 0
    assert second.output.endswith("Stopping PostgreSQL\nStopped.\n")
    assert has_ended(worker.pid)
    wait_until(lambda: has_ended(server.pid))


# The last step takes a tenth of a second, too short to send a signal reliably: here it takes two seconds more.
SLOW_RUN = """
import sys, time
import app.cli, app.main

def create_slowly(settings, create=app.main.create_app):
    time.sleep(2)
    return create(settings)

app.main.create_app = create_slowly
sys.argv = ["xuezu", "run"]
app.cli.main()
"""


@pytest.mark.parametrize("step", ["Creating a PostgreSQL", "Starting the API"])
def test_stop_signal_during_start_leaves_no_process(directory: Path, step: str) -> None:
    with program(sys.executable, "-c", SLOW_RUN, XUEZU_DATA_DIR=directory, XUEZU_PORT=find_free_port()) as starting:
        starting.wait_to_say(step)
        assert starting.stop(signal.SIGINT) == 0
    assert READY not in starting.output
    assert starting.output.endswith("Stopped.\n")
    assert postgres.find_running(directory / "postgres") is None


def test_run_migrates_after_the_import_of_the_service(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration imports modules too, and two threads that import modules of each other can deadlock."""
    steps = []

    def import_slowly(_: Settings) -> None:
        time.sleep(0.3)
        steps.append("imported")

    async def refuse(*_: object, **__: object) -> None:
        steps.append("looked")
        raise CannotStart("no such database")

    monkeypatch.setattr(app_run, "_import_service", import_slowly)
    monkeypatch.setattr(migration, "migrate_to_head", refuse)
    with pytest.raises(CannotStart, match="no such database"):
        app_run.run(
            settings.model_copy(update={"port": find_free_port(), "database_url": SecretStr("postgresql://none")})
        )
    assert steps == ["imported", "looked"]


def test_process_ends_after_its_importing_threads(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter that ends while a thread imports can hang; it waits for a thread that is not a daemon."""
    seen: list[threading.Thread] = []
    monkeypatch.setattr(app_run, "_import_service", lambda _: seen.append(threading.current_thread()))

    async def refuse(*_: object, **__: object) -> None:
        raise CannotStart("no such database")

    monkeypatch.setattr(migration, "migrate_to_head", refuse)
    with pytest.raises(CannotStart):
        app_run.run(
            settings.model_copy(update={"port": find_free_port(), "database_url": SecretStr("postgresql://none")})
        )
    assert [thread.daemon for thread in seen] == [False]


def test_open_stream_does_not_delay_the_stop(directory: Path) -> None:
    """The server of `xuezu run` and `serve`, with a stream that does not end by itself or on request."""
    port = find_free_port()
    endless = f"""
import asyncio
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route
from app.core.settings import Settings
from app.http_server import Server, bind

async def ticks():
    while True:
        yield b"data: tick\\n\\n"
        await asyncio.sleep(0.1)

app = Starlette(routes=[Route("/", lambda _: StreamingResponse(ticks(), media_type="text/event-stream"))])
asyncio.run(Server(app, Settings(), lambda: print("up", flush=True)).serve(bind("127.0.0.1", {port})))
print("cleaned up", flush=True)
"""
    with program(sys.executable, "-c", endless) as serving:
        serving.wait_to_say("up")
        with httpx.stream("GET", f"http://127.0.0.1:{port}/") as stream:
            assert next(stream.iter_bytes()) == b"data: tick\n\n"
            serving.process.send_signal(signal.SIGTERM)
            assert serving.process.wait(8) == 0
    serving.wait_to_say("cleaned up")


def test_unusable_setting_is_refused_without_its_value(directory: Path) -> None:
    said = run_refused("run", XUEZU_DATA_DIR=directory, XUEZU_PORT="13800138000")
    assert "XUEZU_PORT: input should be less than or equal to 65535" in said
    assert "13800138000" not in said


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"XUEZU_PORT": "eight"}, "XUEZU_PORT: input should be a valid integer"),
        ({"XUEZU_ENV": "prod"}, "XUEZU_ENV: input should be 'development' or 'production'"),
        ({"XUEZU_PORT": "0", "XUEZU_DATABASE_POOL": "0"}, "XUEZU_PORT: .*; XUEZU_DATABASE_POOL: "),
        ({"XUEZU_HOST": "no.such.host.invalid"}, "XUEZU_HOST=no.such.host.invalid is no address of this machine"),
        ({"XUEZU_HOST": "192.0.2.1"}, "XUEZU_HOST=192.0.2.1 cannot be listened on"),
        ({"XUEZU_DATA_KEYS": "mine:c2hvcnQ="}, "XUEZU_DATA_KEYS contains a key that is not the base64 of 32 bytes"),
    ],
)
def test_unusable_settings_are_refused(
    directory: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], sentence: str
) -> None:
    for name, value in ({"XUEZU_DATA_DIR": str(directory)} | settings).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(CannotStart, match=sentence):
        usable = read_settings()
        bind(usable.host, usable.port)


def test_production_without_its_own_secrets_is_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Settings(data_dir=directory).complete_secrets()
    stored = json.loads((directory / "secrets.json").read_text())
    production = {"XUEZU_DATA_DIR": str(directory), "XUEZU_ENV": "production"}
    assert "needs XUEZU_DATA_KEYS and XUEZU_INDEX_KEY: make them with `xuezu keys`" in run_refused("run", **production)
    for name, value in (production | {"XUEZU_DATA_KEYS": f"k1:{make_key()}", "XUEZU_INDEX_KEY": make_key()}).items():
        monkeypatch.setenv(name, value)
    assert read_settings().env == "production"
    for command in ("run", "serve", "worker"):
        with pytest.raises(CannotStart, match="no user could sign in, because XUEZU_SMS_PROVIDER names no provider"):
            cli.cli([command], standalone_mode=False)
    for name, old in (("XUEZU_DATA_KEYS", stored["data_keys"]), ("XUEZU_INDEX_KEY", stored["index_key"])):
        with monkeypatch.context() as mixed, pytest.raises(CannotStart, match="refuses development secrets") as refused:
            mixed.setenv(name, old)
            read_settings()
        assert old not in str(refused.value)


@pytest.mark.parametrize("below", ["a-file/data", "a-file"])
def test_unwritable_data_directory_is_refused(directory: Path, below: str) -> None:
    (directory / "a-file").touch()
    said = run_refused("run", XUEZU_DATA_DIR=directory / below, XUEZU_PORT=find_free_port())
    assert f"The data directory {directory / below} cannot be written" in said


def test_damaged_secrets_are_refused_and_unchanged(directory: Path) -> None:
    (directory / "secrets.json").write_text("{")
    assert "secrets.json are damaged" in run_refused("run", XUEZU_DATA_DIR=directory, XUEZU_PORT=find_free_port())
    assert (directory / "secrets.json").read_text() == "{"
