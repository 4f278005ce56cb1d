"""The README: it documents every setting, and its examples parse."""

import ast
import re
from pathlib import Path

from app.core.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_every_setting_is_documented_and_nothing_else() -> None:
    documented = set(re.findall(r"^\| `(XUEZU_[A-Z_]+)`", README, re.MULTILINE))
    assert documented == {f"XUEZU_{name.upper()}" for name in Settings.model_fields}


def test_python_in_the_readme_parses() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) >= 2
    for block in blocks:
        ast.parse(block)


def test_links_in_the_readme_resolve() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
