"""The OpenAPI document with each shared part in its place, for tests that read one operation."""

from typing import Any


def inline_shared_parts(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document without references to answers, parameters and examples.

    References to schemas and headers stay.
    """
    components = {
        f"#/components/{kind}/": document["components"][kind] for kind in ("responses", "parameters", "examples")
    }

    def inline(value: Any) -> Any:
        if isinstance(value, dict):
            kind, slash, name = str(value.get("$ref", "")).rpartition("/")
            if kind + slash in components:
                return inline(components[kind + slash][name])
            return {key: inline(part) for key, part in value.items()}
        return [inline(part) for part in value] if isinstance(value, list) else value

    return document | {"paths": inline(document["paths"])}
