"""The rows of a sheet that are not about a person: the template's example, totals, the header once more, and notes."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from .cells import convert_to_text, is_date
from .headings import FIELDS, find_word, normalize_heading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

EXAMPLE = ("示例：张三", "13800138000")
"""Name and phone of the template's own example."""
_OLD_EXAMPLE = "示例:张三"
NAME, PHONE, UNIT, POST = (FIELDS.index(field) for field in ("name", "phone", "unit", "post"))
_PHONE_DIGITS = 7

_NUMBER = "[0-9〇零一二三四五六七八九十百两壹贰叁肆伍陆柒捌玖拾佰]"
_COUNTED = f"{_NUMBER}+(?:人|名|位|行|条|个)"
_TOTAL = re.compile(
    rf".{{0,20}}?(?:合计|总计|小计|共计|累计|总人数|人数|总数)(?:人数)?(?:[:：(（].*|{_NUMBER}+(?:人|名)?)?"
    rf"|(?:以上)?共(?:计|有)?(?:党员|人员)?{_COUNTED}.*"
    r"|(?:sub|grand)?total(?:[:(].*)?",
    re.IGNORECASE,
)
_SIGNER = "制表|填表|填报|编制|审核|审批|复核|复查|校对|经办|联系|统计|报送|录入|打印|上报"
_LEADER = "批准|负责|领导|书记|支部书记|党支部书记|主管"
_PERSON = "(?:人|员|者|单位|部门|日期|时间|人员|领导|负责人|电话)?"
_SIGNED = "(?:签字|签名|盖章|签章)"
_SIGNATURE = re.compile(rf"(?:{_SIGNER}){_PERSON}{_SIGNED}?(?:[(（].{{0,10}}[)）])?[:：].*")
_WORDS_OF_NOTES = (
    "以下(?:为)?(?:空白|空|无正文|无内容)|空白|完|完毕|结束|end"
    "|(?:备注|说明|附注|注|附|注意|填写说明|填表说明)[0-9一二三]?(?:[:：、.．].*)?"
    "|(?:必填|选填|文本|文本格式|必须填写|可不填)(?:项)?"
)
_NOTE = re.compile(
    rf"(?:{_SIGNER}|{_LEADER})?{_PERSON}{_SIGNED}?(?:[(（].{{0,10}}[)）])?[:：].*"
    rf"|(?:{_SIGNER}|{_LEADER})(?:人|员|者|单位|日期|时间)?{_SIGNED}?"
    r"|(?:单位|党支部|支部|党委|党组织|党总支)?[(（]?(?:盖章|签章|公章|签字)[)）]?[:：]?"
    rf"|[(（*※★☆-]*(?:{_WORDS_OF_NOTES})[)）-]*"
    r"|(?:第[0-9]+页|page[0-9]+)(?:[,，/]?共[0-9]+页|of[0-9]+)?",
    re.IGNORECASE,
)
# In a row that has neither a phone nor a unit, these are no names either.
_LONE_NOTE = re.compile(
    rf"[^:：]{{1,20}}[:：].*|.{{0,20}}{_SIGNED}[)）]?|.{{0,20}}公章|.{{0,20}}意见|(?:.{{0,6}}日期|.{{0,6}}时间)"
    rf"|{_NUMBER}{{0,4}}年{_NUMBER}{{0,3}}月(?:{_NUMBER}{{0,3}}日)?"
    r"|[-—–－]*[0-9]{1,4}(?:[/／][0-9]{1,4})?[-—–－]*"
    r"|[-—–－=*·….]*(?:完|完毕|结束|end|以下空白)[-—–－=*·….]*"
    r"|[※*★☆▲●◆■□▪•]+.*(?:必填|本表|注|为|项|请).*"
    r"|[0-9一二三四五六七八九十]{1,2}[.、．)）][^·]{5,}",
    re.IGNORECASE,
)
_COLUMN_MARKS = ("甲乙丙丁戊己庚辛壬癸", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "年月日")

_DITTO_WORD = re.compile(
    "同上(?:一?[行格栏列]|一?面|支部|党支部|单位|部门)?[。.]?|同前|同|仝|々{1,2}|↑|ditto"
    '|[-—–－_.]{0,3}(?:〃|〞|〟|″|“|”|“”|"|""|＂|\'\'|´´|′′|‘’|’’|、、|,,|，，|\\.\\.)[-—–－_.]{0,3}'
)
DITTO_BEGINNINGS = frozenset("同仝々↑d〃〞〟″“”\"＂'´′‘’、,，.-—–－_([（〔【")
"""The first letters of the marks that `is_ditto` knows."""


def is_ditto(text: str) -> bool:
    """Return whether a text says that the cell is as the one above: 同上, 〃."""
    return len(text) <= 10 and _DITTO_WORD.fullmatch("".join(text.split()).strip("()[]（）〔〕【】")) is not None


def find_cause(cells: list[Any], texts: list[str], titles: list[list[str]]) -> str | None:
    """Return why a row is skipped, or None if it is about a person: `example`, `blank`, `repeated-header`, `total` or
    `note`. `titles` are the texts of the rows of the header and above it."""
    name, phone = texts[NAME], texts[PHONE]
    if phone == EXAMPLE[1]:
        return "example" if name in {EXAMPLE[0], _OLD_EXAMPLE} else None
    digits = sum(map(str.isdigit, phone))
    if digits >= _PHONE_DIGITS:
        labelled = _SIGNATURE.fullmatch("".join(name.split())) and _says_no_unit(texts[UNIT])
        return "note" if labelled else None
    if phone and name and not digits and _find_field(name) == "name" and _find_field(phone) == "phone":
        return "repeated-header"
    shown = list_texts(cells)
    if shown in titles:
        return "repeated-header"
    if _are_column_marks(shown):
        return "note"
    if _is_person(texts):
        return None
    if any(map(_TOTAL.fullmatch, shown[:4])):
        return "total"
    if shown and _NOTE.fullmatch(shown[0]):
        return "note"
    if not any(texts):
        return "blank"
    alone = (not name or _is_label(name)) and (not phone or _is_label(phone)) and _says_no_unit(texts[UNIT])
    return "note" if alone and not phone.isdigit() else None


def _is_person(texts: list[str]) -> bool:
    """Return whether a row without a phone has the name of a person and more about that person. Then a word that a
    total or a note begins with is the person's post, or a remark."""
    name, phone, unit = texts[NAME], texts[PHONE], texts[UNIT]
    if not name or _is_label(name) or _NOTE.fullmatch(name) or _TOTAL.fullmatch(name) or name[0].isdigit():
        return False
    if phone and (_is_label(phone) or _NOTE.fullmatch(phone) or _TOTAL.fullmatch(phone)):
        return False
    return bool(phone or texts[POST] or unit) and (not unit or not _says_no_unit(unit))


def _says_no_unit(text: str) -> bool:
    return not text or is_date(text) or _is_label(text)


@lru_cache(maxsize=5000)
def _is_label(text: str) -> bool:
    """Return whether a text is a note, a label with or without its value, or a date."""
    compact = unicodedata.normalize("NFKC", "".join(text.split()))
    return _LONE_NOTE.fullmatch(compact) is not None or is_date(text) or _find_field(text) in {"name", "phone", "unit"}


def list_texts(cells: Sequence[Any]) -> list[str]:
    """Return the texts of a row without blanks, of the cells that are not empty."""
    return ["".join(text.split()) for cell in cells[:50] if (text := convert_to_text(cell))]


def _are_column_marks(shown: list[str]) -> bool:
    """Return whether a row marks the columns, as forms do below their header: 1, 2, 3 or 甲, 乙, 丙."""
    marks = [text.strip("()（）") for text in shown]
    if len(marks) < 3:
        return False
    if any(letters.startswith("".join(marks)) and max(map(len, marks)) == 1 for letters in _COLUMN_MARKS):
        return True
    return marks[0] in {"1", "2"} and marks == [str(int(marks[0]) + place) for place in range(len(marks))]


@lru_cache(maxsize=5000)
def _find_field(text: str) -> str | None:
    return find_word(normalize_heading(text))[0]
