"""The checks of `make check`. All of them run, two at a time, and the full output of each failed check is printed."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from app.database.migration import migrate
from app.embedded import postgres

ROOT = Path(__file__).parent


def main() -> int:
    """Run all checks and print the result of each. Return the exit code: 1 if a check failed, otherwise 0."""
    checks: dict[str, Callable[[], str]] = {
        "types (mypy --strict)": lambda: run_tool("mypy"),
        "format (ruff format)": lambda: run_tool("ruff", "format", "--check"),
        "rules (ruff check)": lambda: run_tool("ruff", "check"),
        "layers (import-linter)": lambda: run_tool("lint-imports"),
        "tables and migrations agree (alembic check)": schema,
        "migrations are safe to run (squawk)": migrations,
        "installed packages agree (pip check)": lambda: run_tool("pip", "check"),
        "messages are translated": lambda: run_tool("python", "-m", "devtools.messages"),
        "openapi/openapi.json is current": lambda: run_tool("xuezu", "openapi", "--check"),
    }
    failed = 0
    with ThreadPoolExecutor(2) as pool:
        started = time.monotonic()
        running = {pool.submit(check): name for name, check in checks.items()}
        for done in as_completed(running):
            error = done.exception()
            print(f"{'FAILED' if error else 'ok    '}  {running[done]}", flush=True)
            if error:
                failed += 1
                print(error, flush=True)
    print(f"{failed or 'none'} of {len(checks)} failed, in {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


class Failed(Exception):
    """A program ended with an error. The message is the program's stdout and stderr."""


def run_tool(name: str, *arguments: str, **environment: str) -> str:
    """Run a program of the virtualenv and return its stdout. Raises Failed if its exit code is not 0.

    `environment` are environment variables that are added to those of this process.
    """
    done = subprocess.run(
        [Path(sys.executable).parent / name, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed(f"{done.stdout}{done.stderr}")
    return done.stdout


def schema() -> str:
    """Migrate a new database and compare it with the tables in `app/schema` (`alembic check`). Return alembic's stdout.

    Raises Failed if they differ.
    """
    with (
        tempfile.TemporaryDirectory(prefix="xuezu-check-") as directory,
        postgres.run_server(Path(directory) / "postgres", settings=postgres.THROWAWAY) as server,
    ):
        migrate(server.build_url())
        return run_tool("alembic", "check", XUEZU_DATABASE_URL=server.build_url())


def migrations() -> str:
    """Lint the SQL of all migrations with squawk and return its stdout. Raises Failed if a migration breaks a rule.

    `.squawk.toml` lists the rules that are switched off, with the reasons.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as sql:
        sql.write(run_tool("alembic", "upgrade", "head", "--sql"))
        sql.flush()
        return run_tool("squawk", "--reporter", "gcc", "--config", str(ROOT / ".squawk.toml"), sql.name)


if __name__ == "__main__":
    sys.exit(main())
