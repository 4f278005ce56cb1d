"""Resident identity numbers (GB 11643): eighteen characters with a date of birth and a final check character."""

import re
from datetime import date
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from app.core.i18n import gettext_noop
from app.core.phones import convert_full_width, remove_separators

_SHAPE = re.compile(r"[1-9]\d{5}(\d{4})(\d{2})(\d{2})\d{3}[\dX]", re.ASCII)
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"


def _validate_id_number(text: str) -> str:
    number = convert_full_width(remove_separators(text)).upper()
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


class IdNumberParts(NamedTuple):
    """What a valid ID number says: the region in which it was given (GB/T 2260), the date of birth, and the sex."""

    region_code: str
    born: date
    female: bool


def read_id_number(number: str) -> IdNumberParts:
    """Return the parts of a valid ID number."""
    born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    return IdNumberParts(number[:6], born, int(number[16]) % 2 == 0)


IdNumber = Annotated[
    str,
    AfterValidator(_validate_id_number),
    Field(max_length=40, description="A resident ID number (GB 11643).", examples=["11010519491231002X"]),
]
"""A resident ID number in a body: full-width digits and blanks within it are read, and its last letter becomes upper
case. Error messages never contain the value."""
