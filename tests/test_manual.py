"""The OpenAPI document as a manual: what each text has to say, and what none of them may."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.cli import SNAPSHOT
from app.core.i18n import gettext_in
from app.web.errors import Problem

ROOT = Path(__file__).parent.parent
RULE = re.compile(r"\b[SE][1-9][0-9]?\b")
"""The number of a rule, which engineers read in docs/RULES.md and users nowhere."""


@pytest.fixture(scope="module")
def document() -> Any:
    return json.loads(SNAPSHOT.read_text())


def texts_of(value: Any) -> Iterator[str]:
    """Every text in a JSON value, keys included."""
    if isinstance(value, dict):
        for name, below in value.items():
            yield name
            yield from texts_of(below)
    elif isinstance(value, list):
        for below in value:
            yield from texts_of(below)
    elif isinstance(value, str):
        yield value


def kinds_of(kind: type[Problem]) -> Iterator[type[Problem]]:
    for child in kind.__subclasses__():
        yield child
        yield from kinds_of(child)


def test_document_names_no_rule_by_number(document: Any) -> None:
    assert [text for text in texts_of(document) if RULE.search(text)] == []


def test_advice_names_no_rule_by_number() -> None:
    kinds = [kind for kind in kinds_of(Problem) if hasattr(kind, "slug")]
    texts = [text for kind in kinds for text in (kind.title, kind.advice)]
    assert [text for text in texts if RULE.search(text + gettext_in("en", text))] == []


@pytest.mark.parametrize("folder", ["app/console", "app/locale", "devtools/phone"])
def test_pages_name_no_rule_by_number(folder: str) -> None:
    written = [path for path in (ROOT / folder).rglob("*") if path.suffix in {".html", ".js", ".po"}]
    assert [path for path in written if re.search(r"[(（]S[1-9][0-9]?", path.read_text())] == []
