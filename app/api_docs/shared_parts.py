"""Parts that many operations of the OpenAPI document have in common are written once, in `components`, with references.

Without this the document has each problem's example some twenty times and is three times as large.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson

from app.api_docs.examples import EXAMPLES
from app.api_docs.problem_schemas import index_problems
from app.web.errors import MEDIA_TYPE


def share_parts(document: dict[str, Any]) -> None:
    """Move the examples of problems, and equal parameters and equal answers of two or more operations, to `components`.

    Run it before `write_examples`: placeholders make parameters equal that have different examples.
    """
    _share_examples(document)
    _share_responses(document)
    _share_parameters(document)


def _share_examples(document: dict[str, Any]) -> None:
    """Move the example of each problem to `components`, under the slug of the problem."""
    shared = document["components"].setdefault("examples", {})
    for _, operation in _list_operations(document):
        for answer in operation["responses"].values():
            examples = answer.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {})
            for slug, example in examples.items():
                shared.setdefault(slug, example)
                examples[slug] = {"$ref": f"#/components/examples/{slug}"}


def _share_responses(document: dict[str, Any]) -> None:
    """Move each answer that several operations have to `components`. Its name consists of its problems:
    `InvalidOrKeyReused`."""
    answers = [
        (operation["responses"], status, answer)
        for _, operation in _list_operations(document)
        for status, answer in operation["responses"].items()
        if MEDIA_TYPE in answer.get("content", {})
    ]
    counts = Counter(_write(answer) for *_, answer in answers)
    shared = document["components"].setdefault("responses", {})
    for responses, status, answer in answers:
        slugs = answer["content"][MEDIA_TYPE]["examples"]
        name = "Or".join(index_problems()[slug].__name__ for slug in slugs)
        if counts[_write(answer)] > 1 and shared.setdefault(name, answer) == answer:
            responses[status] = {"$ref": f"#/components/responses/{name}"}


def _share_parameters(document: dict[str, Any]) -> None:
    """Move each parameter that several operations have to `components`, under its own name. If different parameters
    have one name, the most frequent is moved.

    A parameter for which the operation has an example of its own stays with the operation.
    """
    places = [
        (operation["parameters"], index)
        for call, operation in _list_operations(document)
        for index, parameter in enumerate(operation.get("parameters", ()))
        if call not in EXAMPLES or parameter["name"] not in EXAMPLES[call].values
    ]
    counts = Counter(_write(parameters[index]) for parameters, index in places)
    shared = document["components"].setdefault("parameters", {})
    for written, count in counts.most_common():
        if count > 1:
            parameter = orjson.loads(written)
            shared.setdefault(parameter["name"], parameter)
    for parameters, index in places:
        name = parameters[index]["name"]
        if shared.get(name) == parameters[index]:
            parameters[index] = {"$ref": f"#/components/parameters/{name}"}


def _list_operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each operation with its method and path (`GET /v1/me`)."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def _write(part: dict[str, Any]) -> bytes:
    """Return a text of the part. Equal parts have equal texts."""
    return orjson.dumps(part, option=orjson.OPT_SORT_KEYS)
