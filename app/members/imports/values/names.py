"""A name as clerks write it."""

import re
from typing import NamedTuple

from app.core import names
from app.core.text import contains_refused_characters
from app.members.names import FORMULA_PREFIXES, MAX_NAME_LENGTH, NameRefused

_LINE_BREAK = re.compile("[\n\r\v\f\x85\u2028\u2029]")
_PRIVATE_USE = re.compile("[\ue000-\uf8ff\U000f0000-\U0010ffff]")
# A name has letters, blanks, a dot, a hyphen, an apostrophe and brackets.
_UNUSUAL = re.compile("[0-9_]|[^\\w ·.'’ʼ（）()-]")
_NO_NAMES = frozenset(["无", "空", "合计", "小计", "总计", "姓名", "备注", "同上"]) | frozenset(
    ["null", "none", "nan", "true", "false"]
)
_LOST = "?？□■▯〓�"
_PLAIN = re.compile("[\u4e00-\u9fff]{1,10}")
_EXAMPLE = re.compile("示例[:：] *(?=.)")


class NameValue(NamedTuple):
    name: str
    warnings: tuple[str, ...] = ()


def read_name(text: str) -> NameValue:
    """Return the name of a cell in its stored form. Raises NameRefused.

    Unlike the API, a sheet may have private-use characters: old systems write them for rare characters, and the clerk
    has no other. The row has a warning.
    """
    if _PLAIN.fullmatch(text) and text not in _NO_NAMES:  # nearly all rows: normalizing changes nothing
        return NameValue(text)
    if "\ufffd" in text:
        raise NameRefused("name-damaged")
    if _LINE_BREAK.search(text):
        raise NameRefused("name-line-break")
    warnings: list[str] = []
    if _EXAMPLE.match(text):
        text = _EXAMPLE.sub("", text, count=1)
        warnings.append("name-example")
    name = names.normalize_name(text)
    if _PLAIN.fullmatch(name) and name not in _NO_NAMES:
        return NameValue(name, tuple(warnings))
    if not name:
        raise NameRefused("name-missing")
    if len(name) > MAX_NAME_LENGTH:
        raise NameRefused("name-too-long")
    if contains_refused_characters(_PRIVATE_USE.sub("", name)):
        raise NameRefused("name-unshowable")
    if name.startswith(FORMULA_PREFIXES):
        raise NameRefused("name-formula")
    if _PRIVATE_USE.search(name):
        warnings.append("name-private-use")
    if any(mark in name for mark in _LOST):
        warnings.append("name-question-mark")
    elif _UNUSUAL.search(_PRIVATE_USE.sub("", name)) or name.lower() in _NO_NAMES or not any(map(str.isalpha, name)):
        warnings.append("name-unusual")
    return NameValue(name, tuple(warnings))
