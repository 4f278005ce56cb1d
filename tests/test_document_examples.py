"""The examples of the OpenAPI document fit the schemas beside them."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from app.api_docs.examples import PLACEHOLDERS
from app.api_docs.recorded_answers import RECORDED
from app.cli import SNAPSHOT
from tests.inlining import inline_shared_parts


@pytest.fixture(scope="module")
def document() -> Any:
    return inline_shared_parts(json.loads(SNAPSHOT.read_text()))


def list_operations(document: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def list_faults(document: Any, schema: Any, value: Any) -> list[str]:
    whole = {**schema, "components": {"schemas": document["components"]["schemas"]}}
    validator = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
    return [f"{list(error.instance_path)}: {error.message}" for error in validator.iter_errors(value)]


def test_examples_of_requests_fit_their_schemas(document: Any) -> None:
    wrong = []
    for call, operation in list_operations(document):
        for parameter in operation.get("parameters", ()):
            if "example" in parameter:
                found = list_faults(document, parameter["schema"], parameter["example"])
                wrong += [(call, parameter["name"], fault) for fault in found]
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            # JSON has no form of a file, so the example of an upload leaves it out.
            example = content["example"]
            if media_type == "multipart/form-data":
                example |= {"file": ""}
            wrong += [(call, media_type, fault) for fault in list_faults(document, content["schema"], example)]
    assert wrong == []


def test_recorded_answers_fit_their_schemas(document: Any) -> None:
    """Where this fails, `make examples` records them anew."""
    recorded = json.loads(RECORDED.read_text())
    operations = dict(list_operations(document))
    assert not recorded.keys() - operations.keys(), "recorded, but gone"
    wrong = []
    for call, answers in recorded.items():
        for status, body in answers.items():
            content = operations[call]["responses"][status]["content"]["application/json"]
            assert content["example"] == body, call
            wrong += [(call, fault) for fault in list_faults(document, content["schema"], body)]
    assert wrong == []


def test_recorded_answers_have_nothing_of_their_run() -> None:
    text = RECORDED.read_text()
    assert set(re.findall(r"\b1\d{10}\b", text)) <= {PLACEHOLDERS["phone"]}
    assert set(re.findall(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}", text)) <= {"01900000-0000-7000"}
    assert set(re.findall(r"[A-Za-z0-9-]{40,}", text)) == set()


def test_examples_of_problems_fit_their_schemas(document: Any) -> None:
    schemas = document["components"]["schemas"]
    shown: dict[str, tuple[dict[str, Any], Any]] = {}
    for _, operation in list_operations(document):
        for answer in operation["responses"].values():
            content = answer.get("content", {}).get("application/problem+json", {"examples": {}, "schema": {}})
            of_slug = content["schema"].get("discriminator", {}).get("mapping", {})
            for slug, example in content["examples"].items():
                ref = of_slug.get(f"/problems/{slug}", content["schema"].get("$ref"))
                shown[slug] = schemas[ref.rpartition("/")[2]], example["value"]
    assert len(shown) > 50
    assert {slug: found for slug, pair in shown.items() if (found := list_faults(document, *pair))} == {}


def test_variants_of_a_body_are_a_named_union_with_a_string_tag(document: Any) -> None:
    schemas = document["components"]["schemas"]
    unions = {name: schema for name, schema in schemas.items() if "oneOf" in schema and name.endswith("Create")}
    assert set(unions) == {"AccountRecoveryCreate", "ChangeRequestCreate"}
    for name, schema in unions.items():
        for tag, ref in schema["discriminator"]["mapping"].items():
            variant = schemas[ref.rpartition("/")[2]]["properties"]
            assert variant[schema["discriminator"]["propertyName"]]["const"] == tag, name
    for call, operation in list_operations(document):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert "oneOf" not in content["schema"], call
