"""All recursive CTEs are in one module."""

import re
from pathlib import Path

APP = Path(__file__).parents[2] / "app"


def test_recursive_ctes_are_in_one_module() -> None:
    recursive = re.compile(r"recursive=True|WITH RECURSIVE")
    found = [path.relative_to(APP).as_posix() for path in APP.rglob("*.py") if recursive.search(path.read_text())]
    assert found == ["hierarchy/tree.py"]
