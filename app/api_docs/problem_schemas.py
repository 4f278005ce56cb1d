"""The schema of each problem: what all problems have, its own `type`, and its extension members (RFC 9457 §3.2)."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from app.core.i18n import gettext_in
from app.web.errors import MEDIA_TYPE, Problem, ProblemOut

_REF = "#/components/schemas/"


def write_problem_schemas(document: dict[str, Any]) -> None:
    """Write a separate schema for each problem that the OpenAPI document declares. Schemas of problems with the same
    status differ in the value of `type`."""
    schemas = document["components"]["schemas"]
    for methods in document["paths"].values():
        for operation in methods.values():
            for answer in operation["responses"].values():
                content = answer.get("content", {}).get(MEDIA_TYPE)
                if content is not None:
                    content["schema"] = _build_reference(schemas, list(content["examples"]))


def _build_reference(schemas: dict[str, Any], slugs: list[str]) -> dict[str, Any]:
    """Return the schema of an answer that is one of these problems, and add their schemas."""
    mapping = {}
    for slug in slugs:
        name = _make_name(index_problems()[slug])
        if name not in schemas:
            schemas.update(_build_schemas(index_problems()[slug]))
        mapping[f"/problems/{slug}"] = _REF + name
    if len(mapping) == 1:
        return {"$ref": next(iter(mapping.values()))}
    refs = [{"$ref": ref} for ref in mapping.values()]
    return {"oneOf": refs, "discriminator": {"propertyName": "type", "mapping": mapping}}


def _build_schemas(kind: type[Problem]) -> dict[str, Any]:
    """Return the schema of a problem, and those that it refers to, by name."""
    schema = ProblemOut.model_json_schema(ref_template=_REF + "{model}")
    if kind.extension is not None:
        extension = kind.extension.model_json_schema(ref_template=_REF + "{model}", mode="serialization")
        schema["properties"] |= extension["properties"]
        schema["required"] = [*schema["required"], *extension.get("required", [])]
        schema.setdefault("$defs", {}).update(extension.get("$defs", {}))
    if kind.slug != "invalid":
        del schema["properties"]["errors"], schema["$defs"]["FieldError"]
    schema["properties"]["type"] |= {"const": f"/problems/{kind.slug}", "examples": [f"/problems/{kind.slug}"]}
    schema["properties"]["status"] |= {"const": kind.status}
    schema["title"] = _make_name(kind)
    schema["description"] = f"{gettext_in('en', kind.title)}. {gettext_in('en', kind.advice)}"
    return {**schema.pop("$defs", {}), _make_name(kind): schema}


def _make_name(kind: type[Problem]) -> str:
    return f"{kind.__name__}Problem"


@cache
def index_problems() -> dict[str, type[Problem]]:
    """Return every kind of problem by its slug."""
    return {kind.slug: kind for kind in list_problems()}


def list_problems(kind: type[Problem] = Problem) -> Iterator[type[Problem]]:
    """Yield every kind of problem that has a slug."""
    for child in kind.__subclasses__():
        if hasattr(child, "slug"):
            yield child
        yield from list_problems(child)
