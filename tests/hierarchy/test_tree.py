"""The hierarchy's statements stand together."""

import re
from pathlib import Path

APP = Path(__file__).parents[2] / "app"


def test_every_recursive_cte_is_in_one_file() -> None:
    recursive = re.compile(r"recursive=True|WITH RECURSIVE")
    found = [path.relative_to(APP).as_posix() for path in APP.rglob("*.py") if recursive.search(path.read_text())]
    assert found == ["hierarchy/tree.py"]
