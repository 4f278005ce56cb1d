"""The rollup's SQL files: each statement is used, and each file begins with a description."""

from pathlib import Path

import pytest

import app.reports.rollup as package
from app.reports.rollup.statements import load_statements

DIRECTORY = Path(package.__file__).parent
MODULES = {path.stem: path.read_text("utf-8") for path in DIRECTORY.glob("*.py")}
FILES = {path.stem: path.read_text("utf-8") for path in (DIRECTORY / "sql").glob("*.sql")}
STEPS = [name for name, sql in FILES.items() if "-- name: " in sql]


@pytest.mark.parametrize("step", STEPS)
def test_every_statement_is_used_by_its_module(step: str) -> None:
    (module,) = (text for text in MODULES.values() if f'load_statements("{step}")' in text)
    assert [name for name in load_statements(step) if f'"{name}"' not in module] == []


@pytest.mark.parametrize("step", STEPS)
def test_loaded_statement_contains_no_include(step: str) -> None:
    assert [name for name, statement in load_statements(step).items() if "-- include:" in statement] == []


@pytest.mark.parametrize("file", FILES)
def test_every_file_begins_with_a_description(file: str) -> None:
    assert FILES[file].startswith("-- ")
    if file in STEPS and file not in ("staging", "cycle"):
        header = FILES[file].partition("-- name:")[0]
        assert "Out" in header
        assert "In:" in header or file == "verify"


def test_every_fragment_is_included() -> None:
    fragments = set(FILES) - set(STEPS)
    assert {name for name in fragments if any(f"-- include: {name}\n" in sql for sql in FILES.values())} == fragments
