"""The names of schemas in the OpenAPI document, as generators of clients need them."""

import re
from typing import Any

_GENERIC = re.compile(r"^(?:Page|Item(?P<whole>List))_(?P<item>\w+?)(?:Out)?_$")
_REF = "#/components/schemas/"


def rename_lists(document: dict[str, Any]) -> None:
    """Rename each generic list: `Page_MemberOut_` becomes `MemberPage`, `ItemList_AdminOut_` becomes `AdminList`."""
    schemas = document["components"]["schemas"]
    names = {name: match["item"] + (match["whole"] or "Page") for name in schemas if (match := _GENERIC.match(name))}
    for old, new in names.items():
        schemas[new] = schemas.pop(old) | {"title": new}
    _rename_refs(document, {_REF + old: _REF + new for old, new in names.items()})


def name_unions(document: dict[str, Any]) -> None:
    """Give the union of a request's variants a name: `create_verification` takes a `VerificationCreate`."""
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
    """Move the definitions that a schema of an answer brings with it to the schemas of the document."""
    schemas = document["components"]["schemas"]
    for methods in document["paths"].values():
        for operation in methods.values():
            for answer in operation["responses"].values():
                for content in answer.get("content", {}).values():
                    for name, schema in content.get("schema", {}).pop("$defs", {}).items():
                        schemas.setdefault(name, schema)


def _rename_refs(value: Any, names: dict[str, str]) -> None:
    if isinstance(value, dict):
        if value.get("$ref") in names:
            value["$ref"] = names[value["$ref"]]
        for part in value.values():
            _rename_refs(part, names)
    elif isinstance(value, list):
        for part in value:
            _rename_refs(part, names)
