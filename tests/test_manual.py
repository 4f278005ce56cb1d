"""The OpenAPI document as a manual: required and forbidden contents of its texts."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.cli import SNAPSHOT
from app.core.i18n import gettext_in
from app.web.errors import Problem
from tests.inlining import inline_shared_parts

ROOT = Path(__file__).parent.parent
RULE = re.compile(r"\b[SE][1-9][0-9]?\b")
"""The number of a rule, which engineers read in docs/RULES.md and users nowhere."""


@pytest.fixture(scope="module")
def document() -> Any:
    return json.loads(SNAPSHOT.read_text())


def texts_of(value: Any) -> Iterator[str]:
    """Every text in a JSON value, keys included."""
    if isinstance(value, dict):
        for name, child in value.items():
            yield name
            yield from texts_of(child)
    elif isinstance(value, list):
        for child in value:
            yield from texts_of(child)
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


@pytest.mark.parametrize("directory", ["app/console", "app/locale", "devtools/phone"])
def test_pages_name_no_rule_by_number(directory: str) -> None:
    written = [path for path in (ROOT / directory).rglob("*") if path.suffix in {".html", ".js", ".po"}]
    assert [path for path in written if re.search(r"[(（]S[1-9][0-9]?", path.read_text())] == []


def sentences(text: str) -> int:
    """How many sentences a text has, about: ends of sentences before a blank or the end."""
    return len(re.findall(r"[.:!?。](?=\s|$)|[。:!?](?=.)", text))


def unknown_calls(text: str, document: Any) -> list[str]:
    """The calls (`PUT …/acceptance`) that a text names and the service does not have."""
    known = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    named = re.findall(r"`(?:GET|POST|PUT|PATCH|DELETE) [^\s`?]+", text)
    return [
        call
        for call in named
        if not any(re.fullmatch(re.escape(call[1:]).replace("…", ".*"), operation) for operation in known)
    ]


def test_every_tag_has_an_introduction_in_both_languages(document: Any) -> None:
    for tag in document["tags"]:
        english, _, chinese = tag["description"].rpartition("\n\n")
        assert sentences(english) >= 2, tag["name"]
        assert re.search("[\u4e00-\u9fff]{4}", chinese), tag["name"]
        assert any(call in english for call in ("`GET ", "`POST ", "`PUT ", "`DELETE ")), f"{tag['name']} names no call"


def test_every_call_that_an_introduction_names_exists(document: Any) -> None:
    for text in (document["info"]["description"], *(tag["description"] for tag in document["tags"])):
        assert unknown_calls(text, document) == []


def test_every_operation_has_a_summary_and_two_or_more_sentences(document: Any) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], f"{method} {path}"
            assert not operation["summary"].endswith("."), f"{method} {path}"
            assert sentences(operation["description"]) >= 2, f"{method} {path}: {operation['description']}"


def test_every_call_that_an_operation_names_exists(document: Any) -> None:
    for methods in document["paths"].values():
        for operation in methods.values():
            assert unknown_calls(operation["description"], document) == []


def test_every_declared_error_says_what_to_do(document: Any) -> None:
    for path, methods in inline_shared_parts(document)["paths"].items():
        for method, operation in methods.items():
            for status, answer in operation["responses"].items():
                place = f"{method} {path} {status}"
                if not status.startswith(("4", "5")):
                    assert answer["description"] != "Successful Response", place
                    continue
                lines = answer["description"].splitlines()
                described = [re.fullmatch(r"- `([a-z_-]+)`: (.+)", line) for line in lines]
                assert lines, place
                assert all(line is not None and sentences(line[2]) >= 2 for line in described), place
                for media_type, shown in answer["content"].items():
                    if media_type == "application/problem+json":
                        assert [line[1] for line in described if line] == list(shown["examples"]), place
