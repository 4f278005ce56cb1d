"""The names of schemas in the OpenAPI document, as generators of clients need them."""

import re
from typing import Any

_PAGE = re.compile(r"^Page_(\w+?)(?:Out)?_$")
_REF = "#/components/schemas/"


def rename_pages(document: dict[str, Any]) -> None:
    """Rename each generic page: `Page_MemberOut_` becomes `MemberPage`, here and where it is referred to."""
    schemas = document["components"]["schemas"]
    names = {name: f"{match[1]}Page" for name in schemas if (match := _PAGE.match(name))}
    for old, new in names.items():
        schemas[new] = schemas.pop(old) | {"title": new}
    _rename_refs(document, {_REF + old: _REF + new for old, new in names.items()})


def _rename_refs(value: Any, names: dict[str, str]) -> None:
    if isinstance(value, dict):
        if value.get("$ref") in names:
            value["$ref"] = names[value["$ref"]]
        for part in value.values():
            _rename_refs(part, names)
    elif isinstance(value, list):
        for part in value:
            _rename_refs(part, names)
