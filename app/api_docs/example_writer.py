"""Writes the examples of calls into an OpenAPI document."""

from collections.abc import Mapping
from typing import Any

from app.api_docs.examples import DEFAULT_VALUES, EXAMPLES, PLACEHOLDER_ID, PLACEHOLDERS, Example, Stored

_NONE = Example()


def write_examples(document: dict[str, Any], found: Mapping[str, str]) -> dict[str, Any]:
    """Write the examples into an OpenAPI document and return it. Values that were not found have placeholders."""
    for parameter in document["components"].get("parameters", {}).values():
        _write_parameter_example(parameter, _NONE, found)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            _write_example(operation, EXAMPLES.get(f"{method.upper()} {path}", _NONE), found)
    return document


def _write_example(operation: dict[str, Any], example: Example, found: Mapping[str, str]) -> None:
    for parameter in operation.get("parameters", ()):
        if "$ref" not in parameter:
            _write_parameter_example(parameter, example, found)
    if example.body is not None:
        for media_type in operation["requestBody"]["content"].values():
            media_type["example"] = _fill_in(example.body, found)


def _write_parameter_example(parameter: dict[str, Any], example: Example, found: Mapping[str, str]) -> None:
    name = parameter["name"]
    if name in example.values or (parameter.get("required") and name in DEFAULT_VALUES):
        parameter["example"] = _fill_in(example.values.get(name, DEFAULT_VALUES.get(name)), found)


def _fill_in(value: object, found: Mapping[str, str]) -> object:
    if isinstance(value, Stored):
        return found.get(value.name, PLACEHOLDERS.get(value.name, PLACEHOLDER_ID))
    if isinstance(value, Mapping):
        return {name: _fill_in(part, found) for name, part in value.items()}
    if isinstance(value, list):
        return [_fill_in(part, found) for part in value]
    return value
