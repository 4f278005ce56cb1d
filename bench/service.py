"""The service under measurement: one API process, and beside it the bare reference over the same database."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from app import postgres
from app.migration import migrate_to_head

OURS, REFERENCE = 8801, 8802
UP_WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class Measured:
    """Where the two processes listen."""

    ours: str = f"http://localhost:{OURS}"
    reference: str = f"http://localhost:{REFERENCE}"


@contextmanager
def running() -> Iterator[Measured]:
    """Both processes over a fresh, migrated database of an embedded server; all of it gone afterwards."""
    measured = Measured()
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="xuezu-bench-")))
        folder.chmod(0o711)
        server = held.enter_context(postgres.running(folder / "postgres", settings=postgres.THROWAWAY))
        asyncio.run(migrate_to_head(server.url()))
        environment = os.environ | {
            "XUEZU_DATABASE_URL": server.url(),
            "XUEZU_DATA_DIR": str(folder / "data"),
            "XUEZU_PORT": str(OURS),
            "XUEZU_LOG_FORMAT": "json",
        }
        log = held.enter_context((folder / "serve.log").open("w"))
        uvicorn = ("-m", "uvicorn", "bench.reference:app", "--port", str(REFERENCE), "--no-access-log")
        for arguments in (("-m", "app.cli", "serve"), (*uvicorn, "--log-level", "error", "--loop", "uvloop")):
            process = subprocess.Popen([sys.executable, *arguments], env=environment, stdout=log, stderr=log)
            held.callback(_end, process)
        _wait(f"{measured.ours}/readyz", 200)
        _wait(f"{measured.reference}/nothing", 404)
        yield measured


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()


def _wait(url: str, status: int) -> None:
    until = time.monotonic() + UP_WITHIN
    while time.monotonic() < until:
        try:
            if httpx.get(url, timeout=2).status_code == status:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise TimeoutError(f"{url} did not answer {status} within {UP_WITHIN:.0f} s")
