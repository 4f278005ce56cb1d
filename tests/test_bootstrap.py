"""The first set-up without a .venv: the Makefile and bootstrap.py."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT, get_sentence

BOOTSTRAP = ROOT / "bootstrap.py"
LOCKS = ("requirements.lock", "requirements-run.lock", "requirements-dev.lock")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a directory with the files of a clone that the set-up reads."""
    for name in ("bootstrap.py", "Makefile", "pyproject.toml", *LOCKS):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def run(clone: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=clone, env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_bootstrap_can_be_parsed_by_an_old_python() -> None:
    newer = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.AsyncFunctionDef, ast.Match, ast.Starred, ast.Nonlocal)
    for node in ast.walk(ast.parse(BOOTSTRAP.read_text(), feature_version=(3, 4))):
        assert not isinstance(node, newer), f"line {getattr(node, 'lineno', '?')}"
        if isinstance(node, ast.FunctionDef):
            arguments = node.args
            assert not arguments.kwonlyargs + arguments.posonlyargs, node.name
            assert node.returns is None, node.name
            assert not any(argument.annotation for argument in arguments.args), f"line {node.lineno}"
        if isinstance(node, ast.Raise):
            assert node.cause is None, f"line {node.lineno}"
    assert BOOTSTRAP.read_text().isascii()


def test_old_python_is_refused(clone: Path) -> None:
    # The interpreter reports version 3.9; the rest is the behaviour of the file.
    old = "import sys; sys.version_info = (3, 9, 2, 'final', 0); sys.argv = ['bootstrap.py']; import runpy; "
    done = run(clone, sys.executable, "-c", old + "runpy.run_path('bootstrap.py', run_name='__main__')", PATH="/none")
    assert get_sentence(done) == (
        "Python 3.11 or newer is needed and this is 3.9: install one, or name it: make run PYTHON=/path/to/python"
    )
    assert not (clone / ".venv").exists()


def test_bootstrap_under_an_old_python_uses_a_newer_one_of_the_path(clone: Path) -> None:
    newer = clone / "python3.12"
    newer.write_text('#!/bin/sh\necho "the newer one, with $2 $3"\n')
    newer.chmod(0o755)
    old = "import sys; sys.version_info = (3, 9, 2, 'final', 0); sys.argv = ['bootstrap.py', '--dev', 'pytest']; "
    script = old + "import runpy; runpy.run_path('bootstrap.py', run_name='__main__')"
    assert run(clone, sys.executable, "-c", script, PATH=str(clone)).stdout == "the newer one, with --dev pytest\n"


def test_machine_without_python_is_refused(clone: Path) -> None:
    done = run(clone, "make", "run", "PYTHON=python-nowhere")
    assert done.returncode == 2
    assert "There is no python-nowhere here: install Python 3.11 or newer" in done.stderr


def test_python_without_venv_is_refused(clone: Path) -> None:
    # As on Debian: `venv` exists, `ensurepip` does not.
    (clone / "ensurepip.py").write_text("raise ModuleNotFoundError(\"No module named 'ensurepip'\")\n")
    done = run(clone, sys.executable, "bootstrap.py", PYTHONPATH=str(clone))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert "This Python cannot make virtual environments: install its venv module" in get_sentence(done)
    assert f"`apt-get install python{version}-venv`" in done.stderr


def test_unavailable_packages_are_reported(clone: Path) -> None:
    nowhere = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}
    for _ in range(2):  # the second run finds the .venv of the first
        done = run(clone, sys.executable, "bootstrap.py", **nowhere)
        assert done.returncode == 1
        *pip, sentence = done.stderr.splitlines()
        assert sentence.startswith("xuezu: The packages could not be installed: most often the network")
        assert any("No matching distribution found for" in line for line in pip)
        assert "Traceback" not in done.stderr


def test_locks_have_hashes_without_addresses_and_agree() -> None:
    locks = [(ROOT / name).read_text() for name in LOCKS]
    pins = [set(re.findall(r"^[^\s#-][^\\\n]*?(?= \\?$)", lock, re.MULTILINE)) for lock in locks]
    assert len(pins[0]) > 50
    assert pins[0] < pins[1] < pins[2]
    for lock in locks:
        assert "://" not in lock
        entries = re.split(r"\n(?=\S)", lock.strip())
        assert all("--hash=sha256:" in entry for entry in entries)


def test_compiled_files_are_stored_in_every_environment(clone: Path) -> None:
    program = clone / ".venv" / "bin" / "greeting"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$PYTHONDONTWRITEBYTECODE,$PYTHONPYCACHEPREFIX"\n')
    program.chmod(0o755)
    become = "import bootstrap; bootstrap.become(['greeting'])"
    done = run(clone, sys.executable, "-c", become, PYTHONDONTWRITEBYTECODE="1")
    assert done.stdout == f",{clone}/.venv/bytecode\n"
