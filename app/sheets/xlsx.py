"""Rows as XLSX (ECMA-376), through the zip as they come.

xlsxwriter makes everything but the rows: styles, comments, drop-down lists, further sheets, the chart. It would keep
all rows in memory, or in a file on a disk, where phone numbers have no business. So it makes a workbook with the
headings alone, and the rows are written into the first sheet of that workbook, between its headings and its end.
"""

import io
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from app.sheets.layout import CHARTED, Cell, Layout, Outlet, Row

if TYPE_CHECKING:
    import xlsxwriter

ENTERABLE = 100_000
"""Down to which row a drop-down list reaches."""

_SHEET = "xl/worksheets/sheet1.xml"
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_FIRST_DAY = date(1899, 12, 30)
_NOT_IN_A_TITLE = re.compile(r"[\[\]:*?/\\']")
# XML cannot hold these: they are written as _x0007_, and a text that looks like that with its underscore escaped.
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_ESCAPED = re.compile("_x[0-9A-Fa-f]{4}_")


@dataclass(frozen=True, slots=True)
class _Frame:
    """A workbook without rows: its parts but the first sheet, that sheet before and after its rows, and the styles."""

    parts: Sequence[tuple[str, bytes]]
    before: str
    after: str
    text_style: str
    date_style: str


class XlsxWriter:
    """Writes the workbook around the rows as soon as it can: at once, or when it has the rows that a chart reads."""

    def __init__(self, layout: Layout, outlet: Outlet) -> None:
        self._layout = layout
        self._zip = zipfile.ZipFile(outlet, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        self._charted: list[Row] = []
        self._rows: _RowsPart | None = None
        if layout.chart is None:
            self._begin()

    def write(self, rows: Sequence[Row]) -> None:
        if self._rows is not None:
            self._rows.write(rows)
            return
        self._charted += rows
        if len(self._charted) >= CHARTED:
            self._begin()

    def finish(self) -> None:
        rows = self._rows or self._begin()
        rows.finish()
        self._zip.close()

    def _begin(self) -> "_RowsPart":
        frame = _make_frame(self._layout, self._charted[:CHARTED])
        for name, content in frame.parts:
            self._zip.writestr(name, content)
        self._rows = _RowsPart(self._zip, frame)
        self._rows.write(self._charted)
        self._charted = []
        return self._rows


class _RowsPart:
    """The first sheet, while rows are added to it."""

    def __init__(self, archive: zipfile.ZipFile, frame: _Frame) -> None:
        self._frame = frame
        self._part = archive.open(_SHEET, "w", force_zip64=True)
        self._part.write(frame.before.encode())
        self._numbers = count(2)  # row 1 has the headings

    def write(self, rows: Sequence[Row]) -> None:
        self._part.write("".join([self._row(next(self._numbers), row) for row in rows]).encode())

    def finish(self) -> None:
        self._part.write(self._frame.after.encode())
        self._part.close()

    def _row(self, number: int, row: Row) -> str:
        cells = [self._cell(f"{_letters(column)}{number}", cell) for column, cell in enumerate(row)]
        return f'<row r="{number}">{"".join(cells)}</row>'

    def _cell(self, place: str, cell: Cell) -> str:
        match cell:
            case None | "":
                return ""
            case str():
                text = escape(_NOT_IN_XML.sub(_escaped, _ESCAPED.sub("_x005F\\g<0>", cell)))
                style = self._frame.text_style
                return f'<c r="{place}" s="{style}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
            case date():
                return f'<c r="{place}" s="{self._frame.date_style}"><v>{_serial(cell)}</v></c>'
            case _:
                return f'<c r="{place}"><v>{cell!r}</v></c>'


def _make_frame(layout: Layout, charted: Sequence[Row]) -> _Frame:
    """The workbook without rows. A chart keeps a copy of the rows that it reads, so it is drawn with them there."""
    import xlsxwriter  # 0.2 s, for which no start waits: `serving.warm_up`

    content = io.BytesIO()
    book = xlsxwriter.Workbook(content, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    heading = book.add_format({"bold": True, "bg_color": "#C00000", "font_color": "#FFFFFF", "border": 1})
    text = book.add_format({"num_format": "@"})
    day = book.add_format({"num_format": "yyyy-mm-dd"})
    sheet = book.add_worksheet(_NOT_IN_A_TITLE.sub(" ", layout.title)[:31])
    sheet.freeze_panes(1, 0)
    for number, column in enumerate(layout.columns):
        sheet.set_column(number, number, column.width, text if layout.fill_in else None)
        sheet.write_string(0, number, column.heading, heading)
        if column.comment is not None:
            sheet.write_comment(0, number, column.comment)
    for page in layout.pages:
        further = book.add_worksheet(page.title)
        further.set_column(0, 0, page.width)
        further.write_column(0, 0, page.lines)
    _add_choices(book, sheet, layout)
    if layout.chart is not None:
        for number, row in enumerate(charted, 1):
            for place, cell in enumerate(row):
                if isinstance(cell, str):
                    sheet.write_string(number, place, cell)
                elif cell is not None:
                    sheet.write_number(number, place, _serial(cell) if isinstance(cell, date) else cell)
        layout.chart(book, sheet, len(charted))
    # The last row shows the numbers of the styles; like every row but the headings, it is taken out below.
    sheet.write_string(len(charted) + 1, 0, "text", text)
    sheet.write_number(len(charted) + 1, 1, 0, day)
    book.close()
    with zipfile.ZipFile(content) as made:
        parts = [(name, made.read(name)) for name in made.namelist() if name != _SHEET]
        return _split(made.read(_SHEET).decode(), parts)


def _add_choices(book: "xlsxwriter.Workbook", sheet: "xlsxwriter.worksheet.Worksheet", layout: Layout) -> None:
    for number, column in enumerate(layout.columns):
        choices = column.choices
        if choices is None or not choices.values:
            continue
        source: str | list[str] = list(choices.values)
        if choices.sheet is not None:
            listed = book.add_worksheet(choices.sheet)
            listed.hide()
            for row, value in enumerate(choices.values):
                listed.write_string(row, 0, value)
            source = f"={choices.sheet}!$A$1:$A${len(choices.values)}"
        error = "stop" if choices.only else "information"
        rule = {"validate": "list", "source": source, "error_type": error}
        sheet.data_validation(1, number, ENTERABLE, number, rule)


def _split(sheet: str, parts: Sequence[tuple[str, bytes]]) -> _Frame:
    root = ElementTree.fromstring(sheet)  # noqa: S314 — made above
    dimension, rows = root.find(f"{_MAIN}dimension"), root.find(f"{_MAIN}sheetData")
    assert dimension is not None
    assert rows is not None
    text_style, date_style = (cell.attrib["s"] for cell in rows[-1])
    before, row_end, _ = sheet.partition("</row>")
    # It says how many rows there are, which nobody knows yet; it may be missing.
    before = before.replace(f'<dimension ref="{dimension.attrib["ref"]}"/>', "")
    return _Frame(parts, before + row_end, sheet[sheet.index("</sheetData>") :], text_style, date_style)


def _serial(day: date) -> int:
    return (day - _FIRST_DAY).days


def _escaped(character: re.Match[str]) -> str:
    return f"_x{ord(character[0]):04X}_"


@lru_cache(maxsize=100)
def _letters(number: int) -> str:
    return (_letters(number // 26 - 1) if number >= 26 else "") + chr(ord("A") + number % 26)
