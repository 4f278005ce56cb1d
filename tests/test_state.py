"""The state of the app and of a request is reached through typed accessors (`Service.of`, `request_state`)."""

import re

from tests.processes import ROOT

USE = re.compile(r"\b(?:\w*app|request|scope)\.state\b(?! ?[!=]= \")|scope\[\"state\"\]")
"""Not `request.state == "asked"`, which is a row's."""
ALLOWED = ("app/core/services.py", "tests/test_state.py", "bench/reference.py", "bench/django_reference/")
"""The accessor, this test, and the references of the bench, which are programs of their own."""


def test_nothing_but_the_accessor_reads_the_state_of_the_app_or_of_a_request() -> None:
    found = []
    for folder in ("app", "devtools", "bench", "tests"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            name = file.relative_to(ROOT).as_posix()
            if not name.startswith(ALLOWED):
                code = re.sub(r"`[^`]*`", "", file.read_text())
                found += [f"{name}: {use.group()}" for use in USE.finditer(code)]
    assert found == []
