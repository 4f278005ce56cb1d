"""People's names: how they are written down, and when two of them are the same name.

Names come with blanks inside (王　伟, to align a column), with one dot or another (买买提·阿卜杜拉), in full-width
letters. One form is stored; the comparison (`name_key`, in the database) forgives what people do not mean.
"""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from app.core.text import PersonName, has_unshowable

LONGEST = 50

_HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_BLANK = re.compile("[ \t\r\n\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_BLANK_IN_HAN = re.compile(rf"(?<=[{_HAN}]) (?=[{_HAN}])")
# What a spreadsheet would calculate; no name begins so.
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


class NameRefused(ValueError):  # noqa: N818 — a fact, as every refusal here
    """Not a person's name; `code` says in which way."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


# code: (Chinese, English)
REFUSALS: dict[str, tuple[str, str]] = {
    "name-missing": ("缺少姓名", "the name is missing"),
    "name-too-long": (f"姓名超过 {LONGEST} 个字符", f"the name has more than {LONGEST} characters"),
    "name-unshowable": ("姓名含有控制字符或不可见字符", "the name holds control or invisible characters"),
    "name-formula": ("姓名不能是公式", "a name is no formula"),
}


def tidy(text: str) -> str:
    """A name as it is stored: one blank where there were several, none between Han characters. Raises NameRefused."""
    name = _BLANK_IN_HAN.sub("", _BLANK.sub(" ", unicodedata.normalize("NFC", text)).strip(" "))
    if not name:
        raise NameRefused("name-missing")
    if len(name) > LONGEST:
        raise NameRefused("name-too-long")
    if has_unshowable(name):
        raise NameRefused("name-unshowable")
    if name.startswith(FORMULA):
        raise NameRefused("name-formula")
    return name


def _in_body(text: str) -> str:
    try:
        return tidy(text)
    except NameRefused as refused:
        raise PydanticCustomError(refused.code, REFUSALS[refused.code][1]) from None


MemberName = Annotated[PersonName, AfterValidator(_in_body), Field(examples=["解晓东"])]
"""A person's name in a body."""
