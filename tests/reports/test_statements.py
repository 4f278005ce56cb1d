"""The rollup's SQL files: each statement is used, each file says what it is, and nothing is formatted into them."""

from pathlib import Path

import pytest

import app.reports.rollup as package
from app.reports.rollup.statements import load

FOLDER = Path(package.__file__).parent
MODULES = {path.stem: path.read_text("utf-8") for path in FOLDER.glob("*.py")}
FILES = {path.stem: path.read_text("utf-8") for path in (FOLDER / "sql").glob("*.sql")}
STEPS = [name for name, sql in FILES.items() if "-- name: " in sql]


@pytest.mark.parametrize("step", STEPS)
def test_every_statement_is_used_by_the_module_that_loads_it(step: str) -> None:
    (module,) = (text for text in MODULES.values() if f'load("{step}")' in text)
    assert [name for name in load(step) if f'"{name}"' not in module] == []


@pytest.mark.parametrize("step", STEPS)
def test_every_include_is_replaced(step: str) -> None:
    assert [name for name, statement in load(step).items() if "-- include:" in statement] == []


@pytest.mark.parametrize("file", FILES)
def test_every_file_begins_with_what_it_is_about(file: str) -> None:
    assert FILES[file].startswith("-- ")
    if file in STEPS and file not in ("staging", "cycle"):
        header = FILES[file].partition("-- name:")[0]
        assert "Out" in header
        assert "In:" in header or file == "verify"


def test_a_fragment_that_nothing_includes_is_none() -> None:
    fragments = set(FILES) - set(STEPS)
    assert {name for name in fragments if any(f"-- include: {name}\n" in sql for sql in FILES.values())} == fragments
