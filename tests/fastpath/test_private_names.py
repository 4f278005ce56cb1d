"""Private names of FastAPI are used in one package only, and the installed version has them all."""

import ast
import importlib
import importlib.metadata
import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.processes import ROOT

PACKAGE = ROOT / "app" / "fastpath"
UNDOCUMENTED = re.compile(r"fastapi\.(_\w+|dependencies\.utils|utils)\b")
"""Undocumented modules of FastAPI. (`fastapi.dependencies.models` is used for types only.)"""
MISSING = (
    "FastAPI {version} has no {name}, which app/fastpath needs: compare its routing with that of the version that "
    "pyproject.toml names, adapt app/fastpath, and run tests/fastpath."
)


def _imports(file: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fastapi":
            yield from ((str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] == "fastapi")


def _is_private(module: str, name: str) -> bool:
    return bool(UNDOCUMENTED.fullmatch(module)) or name.startswith("_") or name == "serialize_response"


def test_only_the_fast_path_imports_private_names_of_fastapi() -> None:
    found = [
        f"{file.relative_to(ROOT)}: {module} {name}"
        for directory in ("app", "devtools", "bench", "tests")
        for file in (ROOT / directory).rglob("*.py")
        if PACKAGE not in file.parents
        for module, name in _imports(file)
        if _is_private(module, name)
    ]
    assert found == []


def test_installed_fastapi_has_every_private_name_used() -> None:
    version = importlib.metadata.version("fastapi")
    private = [pair for file in PACKAGE.rglob("*.py") for pair in _imports(file) if _is_private(*pair)]
    assert private
    for module, name in private:
        has = hasattr(importlib.import_module(module), name)
        assert has, MISSING.format(version=version, name=f"{module}.{name}")


def test_private_functions_accept_their_arguments() -> None:
    request_params_to_args = importlib.import_module("fastapi.dependencies.utils").request_params_to_args
    serialize_response = importlib.import_module("fastapi.routing").serialize_response
    version = importlib.metadata.version("fastapi")
    assert list(inspect.signature(request_params_to_args).parameters) == ["fields", "received_params"], MISSING.format(
        version=version, name="request_params_to_args(fields, received_params)"
    )
    given = {"field", "response_content", "include", "exclude", "by_alias", "dump_json"}
    given |= {"exclude_unset", "exclude_defaults", "exclude_none"}
    assert given <= set(inspect.signature(serialize_response).parameters), MISSING.format(
        version=version, name=f"serialize_response({', '.join(sorted(given))})"
    )


def test_fastapi_pin_is_the_installed_version() -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    pinned = [found for found in dependencies if re.match(r"fastapi\b(?!-)", found)]
    assert pinned == [f"fastapi=={importlib.metadata.version('fastapi')}"], pinned
