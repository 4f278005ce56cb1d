"""Resident identity numbers (GB 11643): eighteen characters with a date of birth and a final check character."""

import re
from datetime import date
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from app.core.i18n import gettext_noop

_SHAPE = re.compile(r"[1-9]\d{5}(\d{4})(\d{2})(\d{2})\d{3}[\dX]", re.ASCII)
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"


def _validate_id_number(text: str) -> str:
    number = text.strip().upper()
    shaped = _SHAPE.fullmatch(number)
    if shaped is None:
        raise PydanticCustomError("id-number-shape", gettext_noop("不是 18 位身份证号码"))
    try:
        born = date(*(int(part) for part in shaped.groups()))
    except ValueError:
        born = None
    if born is None or not date(1900, 1, 1) <= born <= date.today():
        raise PydanticCustomError("id-number-date", gettext_noop("号码中的出生日期不存在"))
    total = sum(int(digit) * weight for digit, weight in zip(number, _WEIGHTS, strict=False))
    if number[-1] != _CHECKS[total % 11]:
        raise PydanticCustomError("id-number-checksum", gettext_noop("号码的校验码不正确"))
    return number


IdNumber = Annotated[
    str,
    AfterValidator(_validate_id_number),
    Field(max_length=40, description="A resident ID number (GB 11643).", examples=["11010519491231002X"]),
]
"""A resident ID number in a body, with its last letter in upper case. Error messages never contain the value."""
