"""Names of people, units and orgs: one stored form, and one key for search, comparison and uniqueness.

People type one name in many ways: with blanks inside (王　伟, to align a column), with other dots (买买提•阿卜杜拉),
other brackets, or full-width letters. One form is stored. Two names are the same if their keys are equal; the database
function `name_key` computes the same key.
"""

import re
import unicodedata

from app.core.characters import WIDTHS, replace_doubles

_HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HAS_HAN = re.compile(f"[{_HAN}]")
_BLANK = re.compile("[ \t\r\n\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_BLANK_IN_HAN = re.compile(rf"(?<=[{_HAN}（）]) (?=[{_HAN}（）])")
_DOTS = "\u00b7\u0387\u2022\u2024\u2027\u2219\u22c5\u25cf\u30fb"
_DOT = re.compile(rf" *[{_DOTS}] *|(?<=[{_HAN}])[.。](?=[{_HAN}])")
_OPENING, _CLOSING = "[{〔【〖", "]}〕】〗"
_TO_HALF_BRACKETS = str.maketrans(f"（）{_OPENING}{_CLOSING}", f"(){'(' * len(_OPENING)}{')' * len(_CLOSING)}")
_TO_FULL_BRACKETS = str.maketrans("()", "（）")


def normalize_name(text: str) -> str:
    """Return a name in its stored form. The form of a stored form is itself.

    Characters are those that a reader sees (NFC, no radicals, no private-use doubles), letters and digits of half
    width. Blanks are single, and none is between Han characters. A dot is U+00B7. Brackets are round, and of full width
    in a name with Han characters.
    """
    name = _BLANK.sub(" ", replace_doubles(text).translate(WIDTHS)).strip(" ").translate(_TO_HALF_BRACKETS)
    if _HAS_HAN.search(name):
        name = name.translate(_TO_FULL_BRACKETS)
    return unicodedata.normalize("NFC", _DOT.sub("·", _BLANK_IN_HAN.sub("", name)))


def mask_name(name: str) -> str:
    """Return the name with its first letter only, so that people who know it recognize it and others cannot read it."""
    return name[:1] + "*" * (len(name) - 1)


# Blanks, quotation marks and variation selectors are no part of a key. Neither are dots and hyphens, but between two
# digits: 1-1 is not 11.
_DROPPED = " \t\r\n\u1680\"'`´‘’“”„「」『』ʼ′″"
_HYPHENS = "\u2010\u2012\u2013\u2014\u2015\u2212"
_IN_KEY = {
    **str.maketrans(f"{_DOTS}。{_HYPHENS}", "." * (len(_DOTS) + 1) + "-" * len(_HYPHENS)),
    **_TO_HALF_BRACKETS,
    **str.maketrans("", "", _DROPPED),
}
_NOT_IN_KEY = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]|(?<![0-9])[.-]|[.-](?![0-9])")


def make_name_key(name: str) -> str:
    """Return the key of a name. Two names that differ only in width, case, blanks, dots, quotation marks or the kind of
    brackets have the same key."""
    lowered = "".join(letter.lower()[0] for letter in unicodedata.normalize("NFKC", replace_doubles(name)))
    return unicodedata.normalize("NFC", _NOT_IN_KEY.sub("", lowered.translate(_IN_KEY)))
