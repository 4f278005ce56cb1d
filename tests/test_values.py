"""One case for the values of the API: kebab-case. Names of fields and parameters are snake_case."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from app.authz.scopes import Scope
from app.cli import SNAPSHOT

KEBAB_CASE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
METHODS = {"DELETE", "GET", "PATCH", "POST", "PUT"}
"""The methods of HTTP, as an action that an answer offers names them (RFC 9110 §9.1)."""
OAUTH_PATHS = ("/oauth/", "/.well-known/")
"""Values there are those of the RFCs: `refresh_token`, `authorization_pending`."""


@pytest.fixture(scope="module")
def document() -> Any:
    return json.loads(SNAPSHOT.read_text())


def list_parts(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of the document outside the examples."""
    if isinstance(value, dict):
        yield value
        for name, part in value.items():
            if name not in {"example", "examples"}:
                yield from list_parts(part)
    elif isinstance(value, list):
        for part in value:
            yield from list_parts(part)


def list_values(document: Any) -> set[str]:
    """Return every value that a schema allows by `enum` or `const`."""
    found: set[str] = set()
    for part in list_parts(document):
        allowed = part["enum"] if isinstance(part.get("enum"), list) else []
        found.update(value for value in (*allowed, part.get("const")) if isinstance(value, str))
    return found


def test_values_are_in_kebab_case(document: Any) -> None:
    values = list_values(document) - METHODS - set(Scope)
    assert {"hand-over", "outside-party", "temporary-branch", "under-review", "points-per-head"} <= values
    assert [value for value in values if not KEBAB_CASE.fullmatch(value.removeprefix("/problems/"))] == []


def test_words_with_an_underscore_in_texts_are_names_of_fields_and_parameters(document: Any) -> None:
    names = {name for part in list_parts(document) for name in part.get("properties", {})}
    names |= {part["name"] for part in list_parts(document) if "in" in part and "name" in part}
    names |= {"real_name_needed", "resource_metadata"}  # of OAuth: an error, and a parameter of WWW-Authenticate
    paths = {path: item for path, item in document["paths"].items() if not path.startswith(OAUTH_PATHS)}
    texts = json.dumps(document | {"paths": paths}, ensure_ascii=False)
    words = set(re.findall(r"`([A-Za-z0-9]+(?:_[A-Za-z0-9]+)+)`", texts))
    assert "next_cursor" in words
    assert words - names == set()
