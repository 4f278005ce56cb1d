"""Uploaded forms: the parser uses private names of Starlette, which the installed version has."""

import importlib.metadata
import tomllib

from starlette.datastructures import Headers
from starlette.formparsers import MultiPartParser
from starlette.requests import Request

from tests.processes import ROOT

MISSING = "Starlette {version} has no {name}, which app/web/forms.py needs: compare its parser and adapt that module."


def test_installed_starlette_has_every_private_name_used() -> None:
    version = importlib.metadata.version("starlette")
    request = Request({"type": "http", "headers": []})
    parser = MultiPartParser(Headers(), request.stream())
    for owner, name in ((request, "_form"), (parser, "_current_part"), (parser, "_files_to_close_on_error")):
        assert hasattr(owner, name), MISSING.format(version=version, name=f"{type(owner).__name__}.{name}")


def test_starlette_pin_is_the_installed_version() -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"starlette=={importlib.metadata.version('starlette')}" in dependencies
