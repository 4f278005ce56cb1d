"""Restoring a data directory to an instant: combine the backups, replay the log, and make the database ready."""

import re
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from app.backup.programs import give_away, run
from app.backup.repository import Backup, BackupFailed, Repository, find_newest_before
from app.backup.verification import verify_files, verify_log
from app.embedded.programs import allow_traversal

Show = Callable[[str], None]

PORT = 5432
SUPERUSERS = ("postgres", "xuezu")
"""Roles of which one is tried to connect to a restored cluster."""
TRUSTED = "local all all trust\n"


@dataclass(frozen=True, slots=True)
class Restored:
    """A restored cluster whose server runs, reachable by nobody else."""

    backup: Backup
    directory: Path
    sockets: Path
    superuser: str

    def build_url(self, database: str) -> str:
        """Return the address of a database of the server, for its superuser."""
        return f"postgresql://{quote(self.superuser)}@/{quote(database)}?host={quote(str(self.sockets))}&port={PORT}"


@contextmanager
def restore(
    repository: Repository, directory: Path, instant: datetime | None, show: Show, *, superuser: str | None = None
) -> Iterator[Restored]:
    """Restore the cluster into an empty directory, to the instant or to the end of the archived log, and run it during
    the block.

    The server listens on a socket in a private directory only. After the block it is stopped, and the directory can be
    used as the data directory of PostgreSQL. `superuser` is a superuser of the cluster, if it has no role of
    SUPERUSERS. Raises BackupFailed.
    """
    backup = find_newest_before(repository.list_backups(), instant)
    if backup is None:
        raise BackupFailed("No backup was finished before this time: `xuezu backup list` shows all.")
    if directory.exists() and any(directory.iterdir()):
        raise BackupFailed(f"{directory} is not empty: name a new directory.")
    chain = repository.list_chain(backup)
    for part in chain:
        show(f"Verifying {part.id}")
        verify_files(repository, part)
    if instant is None:
        for sentence in verify_log(repository, backup):
            raise BackupFailed(f"{sentence} Restore to a time before it with --to.")
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)
    give_away(directory)
    allow_traversal(directory.parent, show)
    show(f"Combining {', '.join(part.id for part in chain)}")
    run(
        "pg_combinebackup",
        *(str(repository.get_data(part.id)) for part in chain),
        f"--output={directory}",
        "--manifest-checksums=SHA256",
    )
    run("pg_verifybackup", "--quiet", str(directory))
    _write_recovery(repository, directory, instant)
    with tempfile.TemporaryDirectory(prefix="xuezu-restore-") as made:
        sockets = Path(made)
        (sockets / "hba").write_text(TRUSTED)
        give_away(sockets)
        show("Replaying the log" + (f" to {instant.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if instant else ""))
        try:
            found = _start(directory, sockets, superuser)
            yield Restored(backup, directory, sockets, found)
        finally:
            if (directory / "postmaster.pid").exists():
                run("pg_ctl", "stop", "--pgdata", str(directory), "--mode=fast", "--wait", "--timeout=300")
        (directory / "restore.log").unlink(missing_ok=True)


def _write_recovery(repository: Repository, directory: Path, instant: datetime | None) -> None:
    stored = shlex.quote(str(repository.wal)).replace("'", "''")
    lines = [
        "",
        f"restore_command = 'gzip --decompress --stdout {stored}/%f.gz > \"%p\"'",
        "recovery_target_action = 'promote'",
        *([f"recovery_target_time = '{instant.astimezone(UTC).isoformat()}'"] if instant else []),
    ]
    with (directory / "postgresql.auto.conf").open("a") as file:
        file.write("\n".join(lines) + "\n")
    (directory / "recovery.signal").touch()
    (directory / "postgresql.conf").touch()  # Debian has it elsewhere
    give_away(directory)


def _start(directory: Path, sockets: Path, superuser: str | None) -> str:
    """Start the server and wait until the recovery has ended. Return the superuser that made the cluster. Raises
    BackupFailed."""
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(sockets),
        "port": str(PORT),
        "hba_file": str(sockets / "hba"),
        "hot_standby": "off",  # nobody reads before the recovery has ended
        "archive_mode": "off",
        "shared_preload_libraries": "",
        "log_destination": "stderr",
        "logging_collector": "off",
        "ssl": "off",
    }
    options = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in settings.items())
    log = directory / "restore.log"
    arguments = ["start", "--pgdata", str(directory), "--log", str(log), "--options", options]
    run("pg_ctl", *arguments, "--no-wait")
    found = _wait_until_recovered(directory, sockets, log, (superuser,) if superuser else SUPERUSERS)
    # The recovery is over: the next start is an ordinary one.
    for name in ("restore_command", "recovery_target_time", "recovery_target_action"):
        _query(sockets, found, f"ALTER SYSTEM RESET {name}")
    return found


def _wait_until_recovered(directory: Path, sockets: Path, log: Path, superusers: Sequence[str]) -> str:
    """Return the name of the superuser that made the cluster, when the recovery has ended. Raises BackupFailed."""
    while True:
        time.sleep(0.1)
        for name in superusers:
            try:
                return _query(sockets, name, "SELECT rolname FROM pg_roles WHERE oid = 10")
            except BackupFailed as error:
                if "does not exist" in str(error) and name == superusers[-1]:
                    raise BackupFailed(
                        f"The restored cluster has no role {' or '.join(superusers)}: name its superuser "
                        "with --superuser."
                    ) from error
        try:
            run("pg_ctl", "status", "--pgdata", str(directory))
        except BackupFailed as error:
            said = log.read_text(errors="replace") if log.exists() else ""
            raise BackupFailed(_explain(said)) from error


def _query(sockets: Path, user: str, sql: str) -> str:
    place = ["-h", str(sockets), "-p", str(PORT), "-U", user, "-d", "postgres"]
    return run("psql", "-XAtq", *place, "-c", sql).strip()


def _explain(said: str) -> str:
    if "recovery ended before configured recovery target was reached" in said:
        last = re.findall(r"last completed transaction was at log time (.+)", said)
        newest = f" The last transaction in it is of {last[-1]}." if last else ""
        return (
            f"The archived log ends before this time.{newest} Restore to an earlier time, or without --to to its end."
        )
    reasons = re.findall(r"(?:FATAL|PANIC): *(.+)", said)
    return f"PostgreSQL did not start on the restored files: {reasons[-1] if reasons else 'its log says nothing'}."
