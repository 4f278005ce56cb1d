"""Each sentence of docs/RULES.md has a test in this package, and each problem of a sentence is compared in its test."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = (HERE.parent.parent / "docs" / "RULES.md").read_text()
SECTIONS = {section.partition("\n")[0]: section.partition("\n")[2] for section in PAGE.split("\n## ")[1:]}


def list_sentences(text: str) -> list[str]:
    """Return the English sentences of a section or docstring, on one line each, without emphasis and numbers."""
    english = [paragraph for paragraph in text.strip().split("\n\n") if not paragraph.startswith("中文")]
    joined = " ".join("\n".join(english).replace("*", "").split())
    joined = re.sub(r"(?:^|(?<=\. ))\d+\. ", "", joined)
    return re.split(r"(?<=\.) (?=[A-Z])", joined)


def list_refusals(sentence: str) -> set[tuple[int, str]]:
    """Return the statuses with their slugs that a sentence names; a status without a slug is that of its class."""
    found = set()
    for status, slugs in re.findall(r"\b(4\d\d)\b((?: ?`[a-z-]+`,?)*)", sentence):
        named = re.findall(r"`([a-z-]+)`", slugs) or {"404": ["not-found"], "422": ["invalid"]}[status]
        found |= {(int(status), slug) for slug in named}
    return found


def read_refusal(node: ast.AST) -> tuple[int, str] | None:
    """Return the status and the slug if the node is a pair of both."""
    match node:
        case ast.Tuple(elts=[ast.Constant(value=int(status)), ast.Constant(value=str(slug))]):
            return status, slug
    return None


def read_tests() -> tuple[dict[str, dict[str, set[tuple[int, str]]]], list[str]]:
    """Return, by the heading of a rule and by sentence, the refusals that its tests compare; and the tests without a
    sentence."""
    found: dict[str, dict[str, set[tuple[int, str]]]] = {}
    silent = []
    for path in sorted(HERE.glob("test_*.py")):
        if path == Path(__file__):
            continue
        module = ast.parse(path.read_text())
        sentences = found.setdefault((ast.get_docstring(module) or "").rstrip("."), defaultdict(set))
        for function in module.body:
            if not isinstance(function, ast.AsyncFunctionDef | ast.FunctionDef) or function.name[:5] != "test_":
                continue
            docstring = ast.get_docstring(function)
            if docstring is None:
                silent.append(f"{path.name}: {function.name}")
                continue
            compared = {pair for node in ast.walk(function) if (pair := read_refusal(node)) is not None}
            for sentence in list_sentences(docstring):
                sentences[sentence] |= compared
    return found, silent


TESTS, SILENT = read_tests()


def test_every_test_has_a_sentence_and_every_rule_a_file() -> None:
    assert SILENT == []
    assert set(TESTS) == set(SECTIONS)


@pytest.mark.parametrize("heading", SECTIONS, ids=lambda heading: heading.split()[0])
def test_sentences_of_the_rule_and_of_its_tests_are_the_same(heading: str) -> None:
    sentences = set(list_sentences(SECTIONS[heading]))
    tested = set(TESTS.get(heading, {}))
    assert sentences - tested == set(), "no test of this package proves these sentences"
    assert tested - sentences == set(), "docs/RULES.md no longer has these sentences"


@pytest.mark.parametrize("heading", SECTIONS, ids=lambda heading: heading.split()[0])
def test_problems_of_a_sentence_are_compared_in_its_tests(heading: str) -> None:
    missing = {
        sentence: refusals
        for sentence in list_sentences(SECTIONS[heading])
        if (refusals := list_refusals(sentence) - TESTS.get(heading, {}).get(sentence, set()))
    }
    assert missing == {}


def test_every_problem_of_the_page_has_its_status_before_it() -> None:
    named = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", PAGE))
    compared = {
        slug for body in SECTIONS.values() for sentence in list_sentences(body) for _, slug in list_refusals(sentence)
    }
    assert named - compared == set()
