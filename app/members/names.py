"""The stored form of a person's name.

People type names with spaces inside (王　伟, to align a column), with different dots (买买提·阿卜杜拉), or in
full-width letters. One form is stored. The database function `name_key` ignores such differences between two names.
"""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from app.core.i18n import gettext, gettext_noop
from app.core.text import PersonName, has_unshowable

MAX_NAME_LENGTH = 50

_HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_BLANK = re.compile("[ \t\r\n\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_BLANK_IN_HAN = re.compile(rf"(?<=[{_HAN}]) (?=[{_HAN}])")
# A spreadsheet program would evaluate a text with such a prefix as a formula.
FORMULA_PREFIXES = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


class NameRefused(ValueError):  # noqa: N818 — errors are named as facts
    """The text is not a person's name; `code` is the reason, a key of `REFUSALS`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


# The reasons why a text is not a person's name, by code.
REFUSALS: dict[str, str] = {
    "name-missing": gettext_noop("缺少姓名"),
    "name-too-long": gettext_noop("姓名超过 {name_length} 个字符"),
    "name-unshowable": gettext_noop("姓名含有控制字符或不可见字符"),
    "name-formula": gettext_noop("姓名不能是公式"),
}


def normalize_name(text: str) -> str:
    """Return a name in its stored form: NFC, single spaces, no space between Han characters. Raises NameRefused."""
    name = _BLANK_IN_HAN.sub("", _BLANK.sub(" ", unicodedata.normalize("NFC", text)).strip(" "))
    if not name:
        raise NameRefused("name-missing")
    if len(name) > MAX_NAME_LENGTH:
        raise NameRefused("name-too-long")
    if has_unshowable(name):
        raise NameRefused("name-unshowable")
    if name.startswith(FORMULA_PREFIXES):
        raise NameRefused("name-formula")
    return name


def _validate_name(text: str) -> str:
    try:
        return normalize_name(text)
    except NameRefused as refused:
        raise PydanticCustomError(refused.code, gettext(REFUSALS[refused.code], name_length=MAX_NAME_LENGTH)) from None


MemberName = Annotated[PersonName, AfterValidator(_validate_name), Field(examples=["解晓东"])]
"""A person's name in a request body, normalized."""
