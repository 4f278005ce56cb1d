"""Validation errors by field, in the caller's language and without the values that were sent."""

import re
from typing import Any

from fastapi.exceptions import RequestValidationError

from app.core.i18n import gettext, gettext_noop, join_words

_QUOTED = re.compile("'[^']*'")
# Texts by pydantic's error type. Placeholders are values of the error's context. Other types have pydantic's text.
_TEXTS: dict[str, str] = {
    "bool_parsing": gettext_noop("应为 true 或 false"),
    "bool_type": gettext_noop("应为 true 或 false"),
    "date_from_datetime_inexact": gettext_noop("应为日期，如 2026-01-31"),
    "date_from_datetime_parsing": gettext_noop("应为日期，如 2026-01-31"),
    "date_parsing": gettext_noop("应为日期，如 2026-01-31"),
    "date_type": gettext_noop("应为日期，如 2026-01-31"),
    "datetime_from_date_parsing": gettext_noop("应为 RFC 3339 格式的时间"),
    "datetime_object_invalid": gettext_noop("应为 RFC 3339 格式的时间"),
    "datetime_parsing": gettext_noop("应为 RFC 3339 格式的时间"),
    "datetime_type": gettext_noop("应为 RFC 3339 格式的时间"),
    "dict_type": gettext_noop("应为对象"),
    "enum": gettext_noop("应为下列之一：{expected}"),
    "extra_forbidden": gettext_noop("不接受此项"),
    "finite_number": gettext_noop("应为数字"),
    "float_parsing": gettext_noop("应为数字"),
    "float_type": gettext_noop("应为数字"),
    "greater_than": gettext_noop("应大于 {gt}"),
    "greater_than_equal": gettext_noop("不得小于 {ge}"),
    "int_from_float": gettext_noop("应为整数"),
    "int_parsing_size": gettext_noop("应为整数"),
    "int_parsing": gettext_noop("应为整数"),
    "int_type": gettext_noop("应为整数"),
    "less_than": gettext_noop("应小于 {lt}"),
    "less_than_equal": gettext_noop("不得大于 {le}"),
    "list_type": gettext_noop("应为列表"),
    "literal_error": gettext_noop("应为下列之一：{expected}"),
    "missing": gettext_noop("缺少此项"),
    "model_attributes_type": gettext_noop("应为对象"),
    "model_type": gettext_noop("应为对象"),
    "string_pattern_mismatch": gettext_noop("格式不符"),
    "string_too_long": gettext_noop("不得超过 {max_length} 个字符"),
    "string_too_short": gettext_noop("不得少于 {min_length} 个字符"),
    "string_unicode": gettext_noop("格式不符"),
    "string_type": gettext_noop("应为文本"),
    "timezone_aware": gettext_noop("时间须注明时区"),
    "too_long": gettext_noop("不得超过 {max_length} 项"),
    "too_short": gettext_noop("不得少于 {min_length} 项"),
    "union_tag_invalid": gettext_noop("{discriminator} 应为下列之一：{expected_tags}"),
    "union_tag_not_found": gettext_noop("缺少 {discriminator}"),
    "uuid_parsing": gettext_noop("应为 UUID"),
    "uuid_type": gettext_noop("应为 UUID"),
}


def list_field_errors(error: RequestValidationError) -> list[dict[str, str]]:
    """Return `pointer`, `code` and `detail` of each invalid field, as in `app.web.errors.FieldError`."""
    found = []
    for item in error.errors():
        place, *path = [str(part).replace("~", "~0").replace("/", "~1") for part in item["loc"]]
        if isinstance(error.body, dict) and _is_tag(error.body, path):
            path = path[1:]
        pointer = "/" + "/".join(path) if place == "body" else "/".join([place, *path])
        # The name of an unknown field is the caller's text: it is truncated and appears only in the pointer.
        found.append(
            {
                "pointer": pointer[:200].encode("utf-8", "replace").decode(),
                "code": item["type"],
                "detail": _build_detail(item),
            }
        )
    return found


def _is_tag(body: dict[str, Any], path: list[str]) -> bool:
    """Return whether a path begins with the tag of a union (`"kind": "rename"`), which is not a part of the pointer."""
    return len(path) > 1 and path[0] not in body and path[0] in body.values()


def _build_detail(item: Any) -> str:
    """Return the description of the error.

    `_TEXTS` must have a text for each error type whose pydantic text quotes the value, because a phone or an ID number
    must not be returned.
    """
    context = item.get("ctx") or {}
    if item["type"] == "value_error":  # a validator of this service
        return gettext(str(context.get("error", item["type"])))
    text = _TEXTS.get(item["type"])
    if "expected" in context:  # such as `'a', 'b' or 'c'`
        context = context | {"expected": join_words(_QUOTED.findall(str(context["expected"])))}
    return gettext(str(item["msg"])) if text is None else gettext(text, **context)
