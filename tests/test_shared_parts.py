"""The OpenAPI document says once what many operations have in common, and refers to it."""

import json
from collections import Counter
from typing import Any

import pytest

from app.api_docs.example_writer import write_examples
from app.api_docs.examples import EXAMPLES, PLACEHOLDER_ID
from app.cli import SNAPSHOT
from tests.inlining import inline_shared_parts

EXAMPLE_KEYS = {"example", "examples"}
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def document() -> Any:
    return json.loads(SNAPSHOT.read_text())


def list_references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [ref for part in value.values() for ref in list_references(part)]
    return [ref for part in value for ref in list_references(part)] if isinstance(value, list) else []


def list_titles(value: Any) -> list[str]:
    """List the titles of schemas; values of examples are none."""
    if isinstance(value, dict):
        own = [value["title"]] if isinstance(value.get("title"), str) else []
        return own + [text for key, part in value.items() if key not in EXAMPLE_KEYS for text in list_titles(part)]
    return [text for part in value for text in list_titles(part)] if isinstance(value, list) else []


def test_stored_document_is_small(document: Any) -> None:
    operations = sum(len(methods) for methods in document["paths"].values())
    assert SNAPSHOT.stat().st_size < 5_300 * operations


def test_only_schemas_of_the_document_have_titles(document: Any) -> None:
    assert {name: schema["title"] for name, schema in document["components"]["schemas"].items()} == {
        name: name for name in document["components"]["schemas"]
    }
    parts = [schema["properties"] for schema in document["components"]["schemas"].values() if "properties" in schema]
    assert [title for part in (document["paths"], *parts) for title in list_titles(part)] == []


def test_every_shared_part_is_referred_to_and_every_reference_resolves(document: Any) -> None:
    counts = Counter(list_references(document))
    shared = {
        f"#/components/{kind}/{name}"
        for kind in ("responses", "parameters", "examples", "schemas", "headers")
        for name in document["components"][kind]
    }
    assert set(counts) <= shared
    for kind in ("responses", "parameters"):
        assert [name for name in document["components"][kind] if counts[f"#/components/{kind}/{name}"] < 2] == []


def test_no_example_of_a_problem_and_no_equal_answer_is_written_twice(document: Any) -> None:
    answers: Counter[str] = Counter()
    for methods in document["paths"].values():
        for operation in methods.values():
            for answer in operation["responses"].values():
                content = answer.get("content", {}).get(PROBLEM)
                if content is not None:
                    assert all(list(example) == ["$ref"] for example in content["examples"].values())
                    answers[json.dumps(answer)] += 1
    assert answers.most_common(1)[0][1] == 1


def test_parameter_with_an_example_of_its_own_is_not_shared(document: Any) -> None:
    found = {"org": "01900000-0000-7000-8000-000000000001", "closed_org": "01900000-0000-7000-8000-000000000002"}
    written = inline_shared_parts(write_examples(document, found))
    call = "GET /v1/orgs/{org_id}/closures"
    assert "org_id" in EXAMPLES[call].values
    (own,) = written["paths"]["/v1/orgs/{org_id}/closures"]["get"]["parameters"][:1]
    (shared,) = written["paths"]["/v1/orgs/{org_id}"]["get"]["parameters"][:1]
    assert (own["example"], shared["example"]) == (found["closed_org"], found["org"])
    assert PLACEHOLDER_ID not in (own["example"], shared["example"])
