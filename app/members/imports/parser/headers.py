"""The search for the header of a sheet."""

from __future__ import annotations

import re
from itertools import pairwise

from .cells import convert_to_text
from .headings import HEADINGS, Columns, find_word, normalize_heading
from .refusals import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .headings import Choices

    Row = tuple[int, list[Any]]
    Spans = Sequence[tuple[int, int, int, int]]  # first row, first column, last row, last column of merged cells

SEARCHED_ROWS = 30
"""The header is among the first rows of a sheet, blank ones included."""

# The name of a sheet that is not the name of a unit: Sheet1, 党员花名册, 2026年3月.
_GENERIC_NAME = re.compile(
    r"(?:sheet|工作表|表|table|chart)?[ _-]*[0-9]*|[0-9年月日./ -]*"
    r"|.*(?:人员|名单|名册|信息|通讯录|汇总|统计|模板|导入|总表|数据|台账|党员|全体|全部|说明)表?[0-9]*",
    re.IGNORECASE,
)
_PHONE = re.compile(r"[0-9](?:[ .-]?[0-9]){6}")
_LABEL = re.compile(r"\s*([^:：]{2,12})[:：]\s*(.*)", re.DOTALL)


class Header:
    """The header of a sheet: its rows, its columns, and the unit of all rows where no column has one."""

    def __init__(self, columns: Columns, first: int, last: int, unit: str = "", unit_from: str = "column") -> None:
        self.columns, self.first, self.last = columns, first, last
        self.unit, self.unit_from = unit, unit_from


def find_header(
    head: Sequence[Row], merged: Spans, choices: Choices, sheet_name: str = "", left: int = 0
) -> Header | None:
    """Return the header of a sheet, of which `head` has the first rows, or None.

    It is the first row, or the first two rows together, with the columns of names and phones and with units: in a
    column, in a label above the header, or as the name of the sheet. Raises Refused if the best row lacks a column, or
    if it is not clear which column to read.
    """
    best: Columns | None = None
    for place, (row_no, cells) in enumerate(head):
        columns = Columns(cells, choices, left)
        if not columns.positions or _is_form(columns):
            continue
        candidates: list[tuple[Columns, int, dict[int, int]]] = [(columns, row_no, {})]
        if place + 1 < len(head):
            below_no, below = head[place + 1]
            joined, sources = _join_rows(cells, below)
            if below_no == row_no + 1:
                # Where the lower row has headings and no person, the header has two rows, even if one suffices.
                at = 0 if _has_headings(columns, below) else 1
                candidates.insert(at, (Columns(joined, choices, left), below_no, sources))
        refusal: Refused | None = None
        for found, last, sources in candidates:
            missing = found.list_missing()
            unit, source = "", "column"
            if missing == ["unit"] and (last == row_no or len(found.positions) > len(columns.positions)):
                unit, source = _find_common_unit(head[:place], sheet_name)
            if not missing or unit:
                try:
                    end = _find_last_row(found, head[place:], row_no, last, merged, sources)
                    return Header(found, row_no, end, unit, source)
                except Refused as refused:  # a heading over several columns may have one for each below it
                    refusal = refusal or refused
        if refusal is not None:
            raise refusal
        if best is None or len(columns.list_missing()) < len(best.list_missing()):
            best = columns
    if best is not None and len(best.list_missing()) == 1:
        raise make_missing(best.list_missing(), best)
    guessed = best or _guess_header(head, choices, left)
    if guessed is not None:
        raise make_missing(choices.required, guessed)
    return None


def make_missing(fields: Sequence[str], columns: Columns | None = None) -> Refused:
    """Return the refusal of a sheet whose header, with these columns, lacks those of some fields."""
    described = [] if columns is None else columns.describe()
    return Refused("header-missing", columns=[HEADINGS[field] for field in fields], headings=described)


def _guess_header(head: Sequence[Row], choices: Choices, left: int) -> Columns | None:
    """Return the headings above the first row with a phone, or None. A row that may be about a person is no header."""
    shown = [cells for _, cells in head if any(cell != "" for cell in cells)]
    for cells, below in pairwise(shown):
        if any(map(_has_phone, cells)):
            return None
        if any(map(_has_phone, below)) and sum(isinstance(cell, str) and cell != "" for cell in cells) > 1:
            return Columns(cells, choices, left)
    return None


def _has_phone(cell: Any) -> bool:
    return _PHONE.search(convert_to_text(cell)) is not None


def _join_rows(upper: Sequence[Any], lower: Sequence[Any]) -> tuple[list[object], dict[int, int]]:
    """Return the headings of a header of two rows, and of each column whether its heading is in the lower row."""
    width = max(len(upper), len(lower))
    tops = [*upper, *[""] * (width - len(upper))]
    bottoms = [*lower, *[""] * (width - len(lower))]
    joined = [bottom if bottom not in {"", None} else top for top, bottom in zip(tops, bottoms, strict=True)]
    return joined, {column: 1 for column, bottom in enumerate(bottoms) if bottom not in {"", None}}


def _is_form(columns: Columns) -> bool:
    """Return whether a row is a line of a form: labels with a phone beside them."""
    return any(not key and _has_phone(cell) for key, cell in zip(columns.keys, columns.cells, strict=True)) or any(
        key.isdigit() and len(key) >= 7 for key in columns.keys
    )


def _has_headings(columns: Columns, below: Sequence[Any]) -> bool:
    """Return whether the row below a row of headings has headings too, and no name or phone of a person."""
    fields = [find_word(key)[0] if (key := normalize_heading(cell)) else None for cell in below]
    for field in ("name", "phone"):
        column = columns.positions.get(field)
        if column is None or column >= len(below) or not convert_to_text(below[column]) or fields[column] == field:
            continue
        if field == "name" or "phone" not in fields:
            return False
    return any(fields) and not any(map(_has_phone, below))


def _find_last_row(
    columns: Columns, head: Sequence[Row], first: int, last: int, merged: Spans, sources: dict[int, int]
) -> int:
    """Return the last row of a header. Merged headings reach down to it, but not over people. Raises Refused."""
    for field in columns.required:
        for_tied = columns.tied.get(field)
        if for_tied:
            same = len({columns.keys[column] for column in for_tied}) == 1
            names = [str(columns.cells[column]).strip()[:50] for column in for_tied[:10]]
            code = "header-doubled" if same else "header-ambiguous"
            raise Refused(code, columns=names[:1] if same else names, headings=columns.describe())
    people = (row_no for row_no, cells in head if row_no > last and any(map(_has_phone, cells)))
    end = next(people, first + SEARCHED_ROWS) - 1
    for column in columns.positions.values():
        row_no = first + sources.get(column, 0)
        for top, left, bottom, right in merged:
            if top <= row_no <= bottom and left <= column <= right:
                if left != right:
                    raise Refused("header-merged", columns=[str(columns.cells[column]).strip()[:50]])
                last = max(last, min(bottom, end))
    return last


def _find_common_unit(above: Sequence[Row], sheet_name: str) -> tuple[str, str]:
    """Return the unit of all rows and where it was found: in a label above the header, or as the sheet's name."""
    for _, cells in above:
        for place, cell in enumerate(cells):
            if not isinstance(cell, str):
                continue
            label = _LABEL.fullmatch(cell[:200])
            key = normalize_heading(label[1] if label else cell)
            if find_word(key)[0] != "unit":
                continue
            values = [label[2]] if label and label[2].strip() else list(map(convert_to_text, cells[place + 1 :]))
            value = next(filter(None, values), "")
            if value and find_word(normalize_heading(value))[0] is None:
                return convert_to_text(value), "label"
    name = sheet_name.strip()
    return ("", "column") if _GENERIC_NAME.fullmatch(name) else (name, "sheet-name")
