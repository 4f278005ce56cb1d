"""Late imports: heavy modules are imported at their first use, or when the service is ready."""

import subprocess
import sys

from app import http_server
from tests.processes import ROOT, build_environment


def loaded_by(statements: str) -> set[str]:
    """Return the modules that a Python process has loaded after these statements."""
    done = subprocess.run(
        [sys.executable, "-c", f"{statements}\nimport sys\nprint(*sys.modules)"],
        cwd=ROOT,
        env=build_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(done.stdout.split())


def test_command_line_loads_without_the_service() -> None:
    service = {"fastapi", "sqlalchemy", "alembic", "app.main", "devtools"}
    assert not loaded_by("import app.cli") & {*service, *http_server.LATE_MODULES}


def test_service_loads_without_its_late_modules() -> None:
    assert not loaded_by("import app.main") & set(http_server.LATE_MODULES)


def test_warm_up_loads_the_late_modules() -> None:
    assert set(http_server.LATE_MODULES) <= loaded_by(
        "from app.http_server import warm_up\nthread = warm_up()\nthread.join()"
    )


def test_process_waits_at_its_end_for_the_warm_up_thread() -> None:
    """An interpreter that ends while a thread imports can hang; it waits for a thread that is not a daemon."""
    assert not http_server.warm_up().daemon
