"""The state of the app and of a request is read with typed accessors only (`Service.of`, `get_request_state`)."""

import re

from tests.processes import ROOT

USE = re.compile(r"\b(?:\w*app|request|scope)\.state\b(?! ?[!=]= \")|scope\[\"state\"\]")
"""Excludes `request.state == "pending"`, which is a column."""
ALLOWED = ("app/core/services.py", "tests/test_state.py", "bench/reference.py", "bench/django_reference/")
"""The accessor, this test, and the references of the bench, which are separate programs."""


def test_only_accessors_read_the_state() -> None:
    found = []
    for directory in ("app", "devtools", "bench", "tests"):
        for file in sorted((ROOT / directory).rglob("*.py")):
            name = file.relative_to(ROOT).as_posix()
            if not name.startswith(ALLOWED):
                code = re.sub(r"`[^`]*`", "", file.read_text())
                found += [f"{name}: {use.group()}" for use in USE.finditer(code)]
    assert found == []
