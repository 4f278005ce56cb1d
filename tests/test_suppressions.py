"""Suppressed warnings: each `noqa` and `type: ignore` names its rule and gives a reason."""

import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT

PATHS = ("app", "bench", "devtools", "migrations", "tests", "bootstrap.py", "checks.py")
SUPPRESSION = re.compile(r"#\s*(ruff:\s*)?(noqa|type:\s*ignore)")
WITH_REASON = re.compile(
    r"# (ruff: )?noqa: [A-Z]+\d+(, [A-Z]+\d+)* (—|-) \S|# type: ignore\[[a-z-]+(, [a-z-]+)*\](  # noqa: \w+)?  # \S"
)


def list_files() -> Iterator[Path]:
    for path in PATHS:
        yield from [ROOT / path] if path.endswith(".py") else sorted((ROOT / path).rglob("*.py"))


def list_comments(file: Path) -> Iterator[tuple[int, str]]:
    with file.open("rb") as source:
        for token in tokenize.tokenize(source.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


def has_reason(comment: str) -> bool:
    return not SUPPRESSION.search(comment) or WITH_REASON.search(comment) is not None


def test_suppressed_warning_without_a_reason_is_refused() -> None:
    without = [
        f"{file.relative_to(ROOT)}:{line}: {comment}"
        for file in list_files()
        if SUPPRESSION.search(file.read_text())
        for line, comment in list_comments(file)
        if not has_reason(comment)
    ]
    assert without == []


@pytest.mark.parametrize("comment", ["noqa", "noqa: S608", "type: ignore", "type: ignore[misc]", "ruff: noqa: S608"])
def test_suppression_is_recognized_without_and_with_its_reason(comment: str) -> None:
    assert not has_reason(f"# {comment}")
    separator = "  # " if comment.startswith("type") else " — "
    assert has_reason(f"# {comment}{separator}the reason") == ("[" in comment or "S608" in comment)
