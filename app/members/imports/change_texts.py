"""The changes of a person by an import: the fields that differ, before and after, and their texts."""

from collections.abc import Mapping
from typing import Any

from app.core.i18n import gettext, gettext_noop, join_sentences
from app.members.imports.schemas import FieldChangeOut

_FIELDS = {
    "name": gettext_noop("姓名"),
    "phone": gettext_noop("手机号码"),
    "units": gettext_noop("支部"),
    "at_org": gettext_noop("管理组"),
    "party": gettext_noop("党员"),
    "probationary": gettext_noop("预备党员"),
    "post": gettext_noop("职务"),
    "active": gettext_noop("激活"),
    "in_directory": gettext_noop("在通讯录中"),
}


def make_changes(
    before: Mapping[str, Any], after: Mapping[str, Any], phones: tuple[str | None, str | None] | None
) -> list[FieldChangeOut]:
    """Return the fields that differ, in the order of the list above. `phones` are the masked phones, if they differ."""
    if phones is not None:
        before, after = {**before, "phone": phones[0]}, {**after, "phone": phones[1]}
    return [
        FieldChangeOut(field=field.replace("_", "-"), before=before.get(field), after=after.get(field))
        for field in _FIELDS
        if field in before or field in after
    ]


def get_field_title(field: str) -> str:
    """Return the name of a field in the language of the request."""
    return gettext(_FIELDS[field.replace("-", "_")])


def describe_value(value: str | bool | list[str] | None) -> str:
    """Return a value before or after as text."""
    if isinstance(value, bool):
        return gettext("是") if value else gettext("否")
    return join_sentences(value) if isinstance(value, list) else value or ""
