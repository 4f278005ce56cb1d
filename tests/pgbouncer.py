"""A real pgbouncer in transaction mode before the tests' PostgreSQL."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from app.core.settings import Settings
from app.embedded.programs import get_system_user, set_owner
from tests.processes import find_free_port

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

needs_pgbouncer = pytest.mark.skipif(
    PROGRAM is None and not os.environ.get("XUEZU_REQUIRE_PGBOUNCER"), reason="pgbouncer is not installed"
)

CONFIGURATION = """
[databases]
* = host={host} port=5432
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {directory}/users
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 500
query_wait_timeout = 20
logfile = {directory}/log
pidfile = {directory}/pid
"""


@contextmanager
def run_pgbouncer(server_url: str, *, pool_size: int = 5) -> Iterator[str]:
    """Run a pgbouncer with this many connections to the server of this address, for each database and user. Return the
    address of the same database through it."""
    assert PROGRAM is not None, "XUEZU_REQUIRE_PGBOUNCER is set, and pgbouncer is not installed"
    parts = urlsplit(server_url)
    port = find_free_port()
    with tempfile.TemporaryDirectory(prefix="xuezu-test-") as directory:
        host = parse_qs(parts.query)["host"][0]
        values = {"host": host, "port": port, "directory": directory, "pool_size": pool_size}
        Path(directory, "settings").write_text(CONFIGURATION.format(**values))
        Path(directory, "users").write_text(f'"{parts.username}" ""\n')
        set_owner(Path(directory))
        user = get_system_user()
        process = subprocess.Popen(
            [PROGRAM, f"{directory}/settings"],
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for_port(port, process)
            yield f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}?sslmode=disable"
        finally:
            process.terminate()
            process.wait()


def build_pooled_settings(settings: Settings, address: str) -> Settings:
    """Return the settings of a service whose requests go through the pgbouncer at this address."""
    return settings.model_copy(
        update={
            "database_url": SecretStr(address),
            "direct_url": settings.database_url,
            "transaction_pooler": True,
        }
    )


def _wait_for_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert process.poll() is None, "pgbouncer has ended"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return
