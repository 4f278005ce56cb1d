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


def _rename_refs(value: Any, names: dict[str, str]) -> None:
    if isinstance(value, dict):
        if value.get("$ref") in names:
            value["$ref"] = names[value["$ref"]]
        for part in value.values():
            _rename_refs(part, names)
    elif isinstance(value, list):
        for part in value:
            _rename_refs(part, names)
