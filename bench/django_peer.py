"""The measurement `vs_django`: the same read by the service and by Django REST framework, with one worker each.

Django's packages have their own lock file and are installed into a virtualenv of their own.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from bench.requests import Target, compare_requests
from bench.rows import Row
from bench.service import Measured, find_free_port, stop_process, wait_for_answer

HERE = Path(__file__).parent
LOCK = HERE / "django_reference" / "requirements.lock"
PLACE = Path(".data") / "bench-django"


def vs_django(measured: Measured) -> list[Row]:
    """Measure the row `vs_django`: a main admin reads the card of a county, from the service and from Django."""
    org = measured.world.county
    ours = Target(f"/v1/orgs/{org}", measured.sign_in(measured.find_main_admin(org)))
    with _serve_django(measured):
        rounds = compare_requests(measured, ours, ours._replace(process="django"), connections=8)
    return [Row.from_rounds("vs_django", *rounds, 8, note="requests/s; / gunicorn, one worker of eight threads")]


def _get_interpreter() -> Path:
    """Return the path of the Python interpreter that has Django. Its virtualenv is created at the first use."""
    python = PLACE.absolute() / "bin" / "python"
    done = PLACE / "installed.lock"
    if not done.exists() or done.read_text() != LOCK.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(PLACE)], check=True)
        install = (
            "-m",
            "pip",
            "install",
            "--quiet",
            "--require-hashes",
            "--disable-pip-version-check",
            "-r",
            str(LOCK),
        )
        subprocess.run([str(python), *install], check=True)
        done.write_text(LOCK.read_text())
    return python


@contextmanager
def _serve_django(measured: Measured) -> Iterator[None]:
    keys = httpx.get(f"{measured.ours}/oauth/jwks").raise_for_status().text
    port = find_free_port()
    arguments = ("--workers", "1", "--threads", "8", "--keep-alive", "60", "--log-level", "error")
    with (measured.directory / "django.log").open("ab") as log:
        process = subprocess.Popen(
            [
                str(_get_interpreter()),
                "-m",
                "gunicorn",
                *arguments,
                "--bind",
                f"127.0.0.1:{port}",
                "django_reference.site",
            ],
            cwd=HERE,
            env=measured.environment | {"BENCH_JWKS": keys, "PYTHONPATH": str(HERE), "PATH": os.environ["PATH"]},
            stdout=log,
            stderr=log,
        )
        try:
            wait_for_answer(f"http://127.0.0.1:{port}/nothing", 404, process)
            measured.pids["django"], measured.addresses["django"] = process.pid, f"http://127.0.0.1:{port}"
            yield
        finally:
            stop_process(process)
