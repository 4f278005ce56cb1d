"""Sort keys of titles: lists by name go by pinyin, and numerals by number (第一, 第二, 第十; 第8, 第10).

A key is compared byte by byte (collation "C"). It has a syllable for each character, with a number of a fixed width for
a numeral, and then the title itself, so that titles of one sound are in a fixed order.
"""

import re
import unicodedata

from app.core.search import list_syllables

WIDTH = 12
_DIGITS = {digit: value for value, digit in enumerate("〇一二三四五六七八九")} | {"零": 0, "两": 2}
_PLACES = {"十": 10, "百": 100, "千": 1000}
_HAN = f"[{''.join(_DIGITS)}{''.join(_PLACES)}]+"
# Numerals are also part of words (三明, 七台河, 百色). They are numbers after 第 and before a word that is counted.
_NUMERAL = re.compile(f"[0-9]+|(?<=第){_HAN}|{_HAN}(?=党?总?支部?|党?小组|[组队排连班号])")


def make_sort_key(title: str) -> str:
    """Return the sort key of the name of an org or a unit."""
    numbered = _NUMERAL.sub(lambda found: _pad(found.group()), unicodedata.normalize("NFKC", title))
    return f"{' '.join(part.lower() for part in list_syllables(numbered))} {title}"


def _pad(numeral: str) -> str:
    return str(int(numeral) if numeral.isascii() else _read_han(numeral)).zfill(WIDTH)


def _read_han(numeral: str) -> int:
    """Return the value of a numeral of Han characters: 二十三, 一百零五, or digit by digit 二〇二六."""
    if not set(numeral) & _PLACES.keys():
        return int("".join(str(_DIGITS[digit]) for digit in numeral))
    total, digit = 0, 0
    for character in numeral:
        if character in _PLACES:
            total += (digit or 1) * _PLACES[character]
            digit = 0
        else:
            digit = _DIGITS[character]
    return total + digit
