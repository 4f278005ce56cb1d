"""The rules for a person's name: its length, and what it may contain. `core.names` has the stored form."""

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from app.core import names
from app.core.i18n import gettext, gettext_noop
from app.core.text import PersonName, contains_refused_characters

MAX_NAME_LENGTH = 50

# A spreadsheet program would evaluate a text with such a prefix as a formula.
FORMULA_PREFIXES = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


class NameRefused(ValueError):
    """The text is not a person's name; `code` is the reason, a key of `REFUSALS`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


# The reasons why a text is not a person's name, by code.
REFUSALS: dict[str, str] = {
    "name-missing": gettext_noop("缺少姓名"),
    "name-too-long": gettext_noop("姓名超过 {name_length} 个字符"),
    "name-unshowable": gettext_noop("姓名含有控制字符、不可见字符或自造字"),
    "name-formula": gettext_noop("姓名不能是公式"),
}


def normalize_name(text: str) -> str:
    """Return a person's name in its stored form. Raises NameRefused."""
    name = names.normalize_name(text)
    if not name:
        raise NameRefused("name-missing")
    if len(name) > MAX_NAME_LENGTH:
        raise NameRefused("name-too-long")
    if contains_refused_characters(name):
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
