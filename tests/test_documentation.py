"""The pages in docs/: their links resolve, and their lists are complete."""

import importlib
import re
from pathlib import Path

import pytest

from app.web.errors import Problem

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_link_resolves(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_module_that_a_page_names_exists(page: Path) -> None:
    for named in re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.(?:py|sql|toml))`", page.read_text()):
        assert (ROOT / named).exists() or (ROOT / "app" / named).exists(), named


def test_every_page_is_linked_from_readme_or_contributing() -> None:
    linked = (ROOT / "README.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert f"docs/{page.name}" in linked, page.name


def test_contents_of_the_page_about_operations_are_its_sections_in_order() -> None:
    page = (ROOT / "docs" / "OPERATIONS.md").read_text()
    contents = re.findall(r"^- \[(.+)\]\(#(.+)\)$", page.partition("\n## ")[0], re.M)
    sections = re.findall(r"^## (.+)$", page, re.M)
    assert contents == [(section, re.sub(r"[^\w -]", "", section.lower()).replace(" ", "-")) for section in sections]


def test_every_package_is_in_the_architecture() -> None:
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    picture = page.partition("```text")[2].partition("```")[0]
    floors = set(re.findall(r"\w+", picture))
    packages = {path.parent.name for path in (ROOT / "app").glob("*/__init__.py")}
    assert packages - floors == set()


def test_every_package_says_what_lives_there() -> None:
    for path in (ROOT / "app").rglob("__init__.py"):
        assert path.read_text().startswith('"""'), path


def test_every_refusal_in_the_rules_is_a_problem_of_the_service() -> None:
    importlib.import_module("app.main")  # imports every module that defines a problem
    known = {getattr(kind, "slug", None) for kind in _kinds(Problem)}
    page = (ROOT / "docs" / "RULES.md").read_text()
    named = set(re.findall(r"\b4\d\d\s+`([a-z-]+)`|, `([a-z-]+)`", page))
    slugs = {first or second for first, second in named}
    assert len(slugs) > 20
    assert slugs - known == set()


def _kinds(kind: type[Problem]) -> set[type[Problem]]:
    return {kind}.union(*(_kinds(subclass) for subclass in kind.__subclasses__()))
