"""The search for the header of a sheet."""

from __future__ import annotations

import re

from .cells import convert_to_text
from .headings import HEADINGS, REQUIRED, SYNONYMS, Columns, normalize_heading
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
_LABEL = re.compile(r"\s*([^:：]{2,12})[:：]\s*(.*)", re.DOTALL)


class Header:
    """The header of a sheet: its rows, its columns, and the unit of all rows where no column has one."""

    def __init__(self, columns: Columns, first: int, last: int, unit: str = "", unit_from: str = "column") -> None:
        self.columns, self.first, self.last = columns, first, last
        self.unit, self.unit_from = unit, unit_from


def find_header(head: Sequence[Row], merged: Spans, choices: Choices, sheet_name: str = "") -> Header | None:
    """Return the header of a sheet, of which `head` has the first rows, or None.

    It is the first row, or the first two rows together, with the columns of names and phones and with units: in a
    column, in a label above the header, or as the name of the sheet. Raises Refused if the best row lacks a column, or
    if it is not clear which column to read.
    """
    best: Columns | None = None
    for place, (row_no, cells) in enumerate(head):
        columns = Columns(cells, choices)
        if not columns.positions:
            continue
        candidates: list[tuple[Columns, int, dict[int, int]]] = [(columns, row_no, {})]
        if place + 1 < len(head):
            below_no, below = head[place + 1]
            joined, sources = _join_rows(cells, below)
            if below_no == row_no + 1:
                candidates.append((Columns(joined, choices), below_no, sources))
        for found, last, sources in candidates:
            missing = found.list_missing()
            if missing == ["unit"] and (last == row_no or len(found.positions) > len(columns.positions)):
                unit, source = _find_common_unit(head[:place], choices, sheet_name)
                if unit:
                    return _make_header(found, row_no, last, merged, sources, unit, source)
            if not missing:
                return _make_header(found, row_no, last, merged, sources)
        if best is None or len(columns.list_missing()) < len(best.list_missing()):
            best = columns
    if best is not None and len(best.list_missing()) < len(REQUIRED) - 1:
        raise make_missing(best.list_missing())
    return None


def make_missing(fields: Sequence[str]) -> Refused:
    """Return the refusal of a sheet whose header lacks the columns of these fields."""
    return Refused("header-missing", columns=[HEADINGS[field] for field in fields], searched=SEARCHED_ROWS)


def _join_rows(upper: Sequence[Any], lower: Sequence[Any]) -> tuple[list[Any], dict[int, int]]:
    """Return the headings of a header of two rows, and of each column whether its heading is in the lower row."""
    width = max(len(upper), len(lower))
    tops = [*upper, *[""] * (width - len(upper))]
    bottoms = [*lower, *[""] * (width - len(lower))]
    joined = [bottom if bottom not in {"", None} else top for top, bottom in zip(tops, bottoms, strict=True)]
    return joined, {column: 1 for column, bottom in enumerate(bottoms) if bottom not in {"", None}}


def _make_header(
    columns: Columns,
    first: int,
    last: int,
    merged: Spans,
    sources: dict[int, int],
    unit: str = "",
    unit_from: str = "column",
) -> Header:
    for field in REQUIRED:
        for_tied = columns.tied.get(field)
        if for_tied:
            same = len({columns.keys[column] for column in for_tied}) == 1
            names = [str(columns.cells[column]).strip()[:50] for column in for_tied[:10]]
            raise Refused("header-doubled" if same else "header-ambiguous", columns=names[:1] if same else names)
    for column in columns.positions.values():
        row_no = first + sources.get(column, 0)
        for top, left, bottom, right in merged:
            if top <= row_no <= bottom and left <= column <= right:
                if left != right:
                    raise Refused("header-merged", columns=[str(columns.cells[column]).strip()[:50]])
                last = max(last, bottom)
    return Header(columns, first, last, unit, unit_from)


def _find_common_unit(above: Sequence[Row], choices: Choices, sheet_name: str) -> tuple[str, str]:
    """Return the unit of all rows and where it was found: in a label above the header, or as the sheet's name."""
    for _, cells in above:
        for place, cell in enumerate(cells):
            if not isinstance(cell, str):
                continue
            label = _LABEL.fullmatch(cell[:200])
            key = normalize_heading(label[1] if label else cell)
            if SYNONYMS.get(key, ("", 9))[0] != "unit":
                continue
            values = [label[2]] if label and label[2].strip() else list(map(convert_to_text, cells[place + 1 :]))
            value = next(filter(None, values), "")
            if value and normalize_heading(value) not in SYNONYMS:
                return convert_to_text(value), "label"
    name = sheet_name.strip()
    return ("", "column") if _GENERIC_NAME.fullmatch(name) else (name, "sheet-name")
