"""The two base models of API bodies, and field types that several bodies share."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Final, cast

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    ValidationInfo,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from app.core.i18n import gettext_noop

TYPED_TEXT: Final = {"typed_text": True}
"""The validation context of fields that a person typed into a form of a page: every value of theirs is a text."""

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def _require_bool(value: object, info: ValidationInfo) -> object:
    if type(value) is not bool and info.context is not TYPED_TEXT:
        raise PydanticCustomError("bool_type", "true or false")
    return value


def _require_int(value: object, info: ValidationInfo) -> object:
    if type(value) is not int and info.context is not TYPED_TEXT:
        raise PydanticCustomError("int_type", "a whole number")
    return value


def _require_number(value: object, info: ValidationInfo) -> object:
    if type(value) not in (int, float) and info.context is not TYPED_TEXT:
        raise PydanticCustomError("float_type", "a number")
    return value


def require_time_text(value: object) -> object:
    """Return a time, or a text that begins as RFC 3339 times do. pydantic reads every number as seconds since 1970."""
    if not isinstance(value, datetime) and not (isinstance(value, str) and _DAY.match(value)):
        raise PydanticCustomError("datetime_type", "a time of RFC 3339")
    return value


def _require_day_text(value: object) -> object:
    if type(value) is not date and not (isinstance(value, str) and _DAY.fullmatch(value)):
        raise PydanticCustomError("date_type", "a day such as 2026-01-31")
    return value


_STRICT: Mapping[str, tuple[str, Any]] = {
    "bool": ("with-info", _require_bool),
    "int": ("with-info", _require_int),
    "float": ("with-info", _require_number),
    "datetime": ("no-info", require_time_text),
    "date": ("no-info", _require_day_text),
}
_CHECKS = [check for _, check in _STRICT.values()]


def _make_strict(schema: object) -> object:
    """Return a core schema whose numbers, booleans, times and days accept no other JSON type.

    pydantic's own strict mode would also refuse ids and times written as texts, and JSON has no other way to write
    them.
    """
    if isinstance(schema, list):
        return [_make_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kind = str(schema.get("type"))
    if kind == "function-before" and schema["function"]["function"] in _CHECKS:
        return schema
    if kind in _STRICT and not schema.get("strict"):
        argument, check = _STRICT[kind]
        wrap = (
            core_schema.with_info_before_validator_function
            if argument == "with-info"
            else core_schema.no_info_before_validator_function
        )
        return wrap(check, cast("CoreSchema", schema))
    if kind == "chain" and schema["steps"][0]["type"] == "str":
        return schema  # it takes texts already
    return {name: _make_part_strict(name, part) for name, part in schema.items()}


def _make_part_strict(name: str, part: object) -> object:
    if name in ("fields", "choices") and isinstance(part, dict):
        return {key: _make_strict(value) for key, value in part.items()}
    return part if name in _NO_SCHEMA else _make_strict(part)


_NO_SCHEMA = {"metadata", "serialization", "function", "default", "expected", "cls", "config", "ref"}


class Body(BaseModel):
    """A body that a caller sends.

    Unknown fields are refused, so that a misspelt field is an error. Numbers and booleans are those of JSON, never
    texts or each other; times and days are texts, never numbers. Validate the fields of a page's form in the context
    TYPED_TEXT.
    """

    model_config = ConfigDict(extra="forbid", str_max_length=10_000, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return cast("CoreSchema", _make_strict(handler(source)))


class Out(BaseModel):
    """A body that a caller receives. It can be read from the attributes of a row."""

    model_config = ConfigDict(from_attributes=True)


def _require_year_in_range(at: datetime) -> datetime:
    if not 2000 <= at.year < 3000:
        raise ValueError(gettext_noop("年份须为 2000 至 2999"))
    return at


Instant = Annotated[AwareDatetime, BeforeValidator(require_time_text), AfterValidator(_require_year_in_range)]
"""A time with a zone in a caller's query. The year is 2000 to 2999, so that the time exists in every zone."""

QueryDay = Annotated[date, BeforeValidator(_require_day_text)]
"""A day in a caller's query, `2026-01-31`."""
