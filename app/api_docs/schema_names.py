"""The names of schemas in the OpenAPI document, as generators of clients need them."""

import re
from typing import Any

_GENERIC = re.compile(r"^(?:Page|Item(?P<whole>List))_(?P<item>\w+?)(?:Out)?_$")
_REF = "#/components/schemas/"
_VALUES = {"const", "default", "enum", "example", "examples"}
"""The keywords of a schema under which there are values and no schemas."""


def rename_list_schemas(document: dict[str, Any]) -> None:
    """Rename the schema of each generic list: `Page_MemberOut_` becomes `MemberPage`, `ItemList_AdminOut_` becomes
    `AdminList`. The document is changed in place."""
    schemas = document["components"]["schemas"]
    names = {name: match["item"] + (match["whole"] or "Page") for name in schemas if (match := _GENERIC.match(name))}
    for old, new in names.items():
        schemas[new] = schemas.pop(old) | {"title": new}
    _rename_refs(document, {_REF + old: _REF + new for old, new in names.items()})


def name_body_unions(document: dict[str, Any]) -> None:
    """Name the schema of each request body that is a union, after its operation: the body of `create_verification` gets
    the name `VerificationCreate`. The document is changed in place."""
    schemas = document["components"]["schemas"]
    for methods in document["paths"].values():
        for operation in methods.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                if "oneOf" in content["schema"]:
                    verb, *noun = operation["operationId"].split("_")
                    name = "".join(word.title() for word in (*noun, verb))
                    schemas[name] = content["schema"] | {"title": name}
                    content["schema"] = {"$ref": _REF + name}


def collect_definitions(document: dict[str, Any]) -> None:
    """Move the definitions (`$defs`) in the schemas of responses to the schemas of the document."""
    schemas = document["components"]["schemas"]
    for methods in document["paths"].values():
        for operation in methods.values():
            for answer in operation["responses"].values():
                for content in answer.get("content", {}).values():
                    for name, schema in content.get("schema", {}).pop("$defs", {}).items():
                        schemas.setdefault(name, schema)


def remove_property_titles(document: dict[str, Any]) -> None:
    """Remove the title of each property and parameter. It repeats the name, and generators of clients would name inline
    types after it.

    The title of a named schema of the document remains: it is the name of the class.
    """
    for schema in document["components"]["schemas"].values():
        title = schema.get("title")
        _remove_titles(schema)
        if title is not None:
            schema["title"] = title
    for methods in document["paths"].values():
        for operation in methods.values():
            contents = [operation.get("requestBody", {}), *operation["responses"].values()]
            shown = [media for content in contents for media in content.get("content", {}).values()]
            for place in (*operation.get("parameters", ()), *shown):
                _remove_titles(place.get("schema", {}))


def _remove_titles(schema: Any) -> None:
    if isinstance(schema, dict):
        if isinstance(schema.get("title"), str):
            del schema["title"]
        for key, part in schema.items():
            if key not in _VALUES:
                _remove_titles(part)
    elif isinstance(schema, list):
        for part in schema:
            _remove_titles(part)


def _rename_refs(value: Any, names: dict[str, str]) -> None:
    if isinstance(value, dict):
        if value.get("$ref") in names:
            value["$ref"] = names[value["$ref"]]
        for part in value.values():
            _rename_refs(part, names)
    elif isinstance(value, list):
        for part in value:
            _rename_refs(part, names)
