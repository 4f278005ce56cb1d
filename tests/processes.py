"""The program as a new user runs it: real processes, their exit codes and their output."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent
PATIENCE = 60.0


def build_environment(**settings: object) -> dict[str, str]:
    """Return this process's environment with only the given XUEZU_ settings."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("XUEZU_")}
    return others | {name: str(value) for name, value in settings.items()}


def find_free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def run_refused(*arguments: str, **settings: object) -> str:
    """Run `xuezu …`, which must fail with one sentence and nothing else on stderr; return the sentence."""
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        cwd=ROOT,
        env=build_environment(**settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return get_sentence(done)


def get_sentence(done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stderr.splitlines()
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("xuezu: "), done.stderr
    return lines[0].removeprefix("xuezu: ")


class Program:
    """A running program and its output so far."""

    def __init__(self, *command: str, **settings: object) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=build_environment(**settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self._lines.extend(iter(self.process.stdout.readline, ""))

    @property
    def output(self) -> str:
        return "".join(self._lines)

    def wait_to_say(self, words: str, times: int = 1) -> None:
        wait_until(lambda: self.output.count(words) >= times or self.process.poll() is not None)
        assert self.output.count(words) >= times, self.output

    def children(self) -> list[psutil.Process]:
        found: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return found

    def close(self) -> None:
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def has_ended(pid: int) -> bool:
    """Return whether no such process runs; a zombie counts as ended."""
    try:
        ended: bool = psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    return ended


@contextmanager
def program(*command: str, **settings: object) -> Iterator[Program]:
    """Start a program for the block; it always ends with the block."""
    started = Program(*command, **settings)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.stop(signal.SIGTERM)
        started.close()


def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
