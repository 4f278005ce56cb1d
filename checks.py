"""Everything that `make check` holds the code to. All of it is tried, two at a time, and what fails is shown whole."""

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
    checks: dict[str, Callable[[], str]] = {
        "types (mypy --strict)": lambda: tool("mypy"),
        "format (ruff format)": lambda: tool("ruff", "format", "--check"),
        "rules (ruff check)": lambda: tool("ruff", "check"),
        "layers (import-linter)": lambda: tool("lint-imports"),
        "tables and migrations agree (alembic check)": schema,
        "migrations are safe to run (squawk)": migrations,
        "installed packages agree (pip check)": lambda: tool("pip", "check"),
        "messages are translated": lambda: tool("python", "-m", "devtools.messages"),
        "openapi/openapi.json is current": lambda: tool("xuezu", "openapi", "--check"),
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
    """What the tool said."""


def tool(name: str, *arguments: str, **environment: str) -> str:
    """Run a program of .venv and give back its stdout. Raises Failed with all it said."""
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
    """Migrate a new database, then let alembic compare it with the tables that the code describes."""
    with (
        tempfile.TemporaryDirectory(prefix="xuezu-check-") as directory,
        postgres.run_server(Path(directory) / "postgres", settings=postgres.THROWAWAY) as server,
    ):
        migrate(server.build_url())
        return tool("alembic", "check", XUEZU_DATABASE_URL=server.build_url())


def migrations() -> str:
    """Lint the SQL of all migrations; `.squawk.toml` says which rules do not apply and why."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as sql:
        sql.write(tool("alembic", "upgrade", "head", "--sql"))
        sql.flush()
        return tool("squawk", "--reporter", "gcc", "--config", str(ROOT / ".squawk.toml"), sql.name)


if __name__ == "__main__":
    sys.exit(main())
