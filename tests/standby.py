"""A primary and a standby of PostgreSQL of their own, with streaming replication."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.embedded import postgres
from app.embedded.programs import run_program, set_owner


@dataclass(frozen=True)
class Pair:
    """The two servers. The standby replays what the primary writes, until it is paused."""

    primary: postgres.EmbeddedPostgres
    standby: postgres.EmbeddedPostgres

    def pause(self) -> None:
        """Stop the replay: from now on the standby shows the data of this moment."""
        self.standby.execute("SELECT pg_wal_replay_pause()")
        while self.standby.execute("SELECT pg_get_wal_replay_pause_state()") != "paused":
            pass

    def resume(self) -> None:
        self.standby.execute("SELECT pg_wal_replay_resume()")


@contextmanager
def run_pair(directory: Path) -> Iterator[Pair]:
    """Run a primary with an empty database and its standby for the block."""
    with postgres.run_server(directory / "primary", settings=postgres.THROWAWAY) as primary:
        copy = add_standby(primary, directory / "standby")
        with postgres.run_server(copy, settings=postgres.THROWAWAY | STANDBY) as standby:
            yield Pair(primary, standby)


STANDBY = {"max_standby_streaming_delay": "200ms", "wal_receiver_status_interval": "1s"}


def add_standby(primary: postgres.EmbeddedPostgres, directory: Path) -> Path:
    """Copy the server as the data directory of a standby."""
    directory.mkdir(mode=0o700)
    set_owner(directory)
    options = ["-D", str(directory), "-h", str(primary.sockets), "-p", str(postgres.PORT), "-U", postgres.SUPERUSER]
    done = run_program("pg_basebackup", *options, "--write-recovery-conf", "--checkpoint=fast", "--no-sync")
    assert done.returncode == 0, done.stdout
    return directory
