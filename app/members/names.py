"""People's names: how they are written down, and when two of them are the same name.

Names come with blanks inside (王　伟, to align a column), with one dot or another (买买提·阿卜杜拉), in full-width
letters. One form is stored; the comparison (`name_key`, in the database) forgives what people do not mean.
"""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from app.core.i18n import gettext, gettext_noop
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


# Every way in which a text is not a person's name, by its code.
REFUSALS: dict[str, str] = {
    "name-missing": gettext_noop("缺少姓名"),
    "name-too-long": gettext_noop("姓名超过 {name_length} 个字符"),
    "name-unshowable": gettext_noop("姓名含有控制字符或不可见字符"),
    "name-formula": gettext_noop("姓名不能是公式"),
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
        raise PydanticCustomError(refused.code, gettext(REFUSALS[refused.code], name_length=LONGEST)) from None


MemberName = Annotated[PersonName, AfterValidator(_in_body), Field(examples=["解晓东"])]
"""A person's name in a body."""
