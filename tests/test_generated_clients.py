"""What generators of clients need from the OpenAPI document."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from app.cli import SNAPSHOT
from tests.inlining import inline_shared_parts

Operation = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Any:
    return inline_shared_parts(json.loads(SNAPSHOT.read_text()))


def list_operations(document: Any) -> Iterator[tuple[str, Operation]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def list_schemas(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from list_schemas(part)
    elif isinstance(value, list):
        for part in value:
            yield from list_schemas(part)


def test_operation_ids_are_short_and_unique(document: Any) -> None:
    ids = [operation["operationId"] for _, operation in list_operations(document)]
    assert len(set(ids)) == len(ids)
    assert [name for name in ids if not re.fullmatch("[a-z][a-z0-9_]{2,39}", name)] == []


def test_names_of_schemas_are_names_of_classes(document: Any) -> None:
    assert [name for name in document["components"]["schemas"] if not re.fullmatch("[A-Z][A-Za-z0-9]*", name)] == []


def test_document_has_servers_a_license_and_an_ascii_title(document: Any) -> None:
    assert document["info"]["title"].isascii()
    assert document["info"]["license"]["identifier"] == "Apache-2.0"
    assert [server["url"] for server in document["servers"]] == ["/"]


def test_every_operation_declares_its_security(document: Any) -> None:
    schemes = document["components"]["securitySchemes"]
    for call, operation in list_operations(document):
        for way in operation["security"]:
            assert set(way) <= set(schemes), call
    (event_call,) = [found for call, found in list_operations(document) if call == "POST /v1/point-events"]
    assert {"oauth2": ["point-events:write"]} in event_call["security"]


def test_every_problem_of_the_document_has_a_schema_with_its_type(document: Any) -> None:
    schemas = document["components"]["schemas"]
    for call, operation in list_operations(document):
        for status, answer in operation["responses"].items():
            content = answer.get("content", {}).get("application/problem+json")
            if content is None:
                continue
            shown = content["schema"].get("oneOf", [content["schema"]])
            kinds = [schemas[reference["$ref"].rpartition("/")[2]] for reference in shown]
            assert [kind["properties"]["type"]["const"] for kind in kinds] == [
                f"/problems/{slug}" for slug in content["examples"]
            ], call
            assert {kind["properties"]["status"]["const"] for kind in kinds} == {int(status)}, call
    member = schemas["PhoneExistsProblem"]["properties"]["member"]
    assert {"$ref": "#/components/schemas/MemberOut"} in member["anyOf"]


def test_every_operation_can_succeed(document: Any) -> None:
    for call, operation in list_operations(document):
        assert any(status.startswith("2") for status in operation["responses"]), call


def test_no_answer_is_a_bare_array(document: Any) -> None:
    for call, operation in list_operations(document):
        for status, answer in operation["responses"].items():
            schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
            assert schema.get("type") != "array", (call, status)
