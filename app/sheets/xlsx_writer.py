"""Rows as XLSX (ECMA-376), streamed into the zip archive.

xlsxwriter creates everything except the rows: styles, comments, drop-down lists, additional sheets, the chart. It would
store all rows in memory or in a file on a disk, and phone numbers must not be written to a disk. So xlsxwriter creates
a workbook that contains only the headings, and this module inserts the rows into its first sheet after the headings.
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

from app.sheets.layout import MAX_CHART_ROWS, ByteBuffer, Cell, Layout, Row

if TYPE_CHECKING:
    import xlsxwriter

LAST_CHOICE_ROW = 100_000
"""The last row that has a drop-down list."""

_SHEET = "xl/worksheets/sheet1.xml"
_NAMESPACE = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_EPOCH = date(1899, 12, 30)
_FORBIDDEN_IN_TITLE = re.compile(r"[\[\]:*?/\\']")
# XML cannot contain these characters, so they are written as _x0007_. A text that already looks like such a sequence
# gets its underscore escaped.
_FORBIDDEN_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_ESCAPE_SEQUENCE = re.compile("_x[0-9A-Fa-f]{4}_")


@dataclass(frozen=True, slots=True)
class _EmptyWorkbook:
    """A workbook without rows.

    `parts` are its files except the first sheet; `before` and `after` are the text of that sheet before and after the
    rows; the styles are numbers of cell formats.
    """

    parts: Sequence[tuple[str, bytes]]
    before: str
    after: str
    text_style: str
    date_style: str


class XlsxWriter:
    """A `Writer` of XLSX. If the sheet has a chart, the writer collects the rows that the chart reads before it writes
    any row."""

    def __init__(self, layout: Layout, buffer: ByteBuffer) -> None:
        self._layout = layout
        self._zip = zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        self._chart_rows: list[Row] = []
        self._rows: _RowWriter | None = None
        if layout.chart is None:
            self._write_beginning()

    def write_rows(self, rows: Sequence[Row]) -> None:
        if self._rows is not None:
            self._rows.write_rows(rows)
            return
        self._chart_rows += rows
        if len(self._chart_rows) >= MAX_CHART_ROWS:
            self._write_beginning()

    def finish(self) -> None:
        rows = self._rows or self._write_beginning()
        rows.finish()
        self._zip.close()

    def _write_beginning(self) -> "_RowWriter":
        workbook = _create_empty_workbook(self._layout, self._chart_rows[:MAX_CHART_ROWS])
        for name, content in workbook.parts:
            self._zip.writestr(name, content)
        self._rows = _RowWriter(self._zip, workbook)
        self._rows.write_rows(self._chart_rows)
        self._chart_rows = []
        return self._rows


class _RowWriter:
    """Adds rows to the first sheet."""

    def __init__(self, archive: zipfile.ZipFile, workbook: _EmptyWorkbook) -> None:
        self._workbook = workbook
        self._part = archive.open(_SHEET, "w", force_zip64=True)
        self._part.write(workbook.before.encode())
        self._numbers = count(2)  # row 1 has the headings

    def write_rows(self, rows: Sequence[Row]) -> None:
        self._part.write("".join([self._format_row(next(self._numbers), row) for row in rows]).encode())

    def finish(self) -> None:
        self._part.write(self._workbook.after.encode())
        self._part.close()

    def _format_row(self, number: int, row: Row) -> str:
        cells = [self._format_cell(f"{_build_column_letters(column)}{number}", cell) for column, cell in enumerate(row)]
        return f'<row r="{number}">{"".join(cells)}</row>'

    def _format_cell(self, reference: str, cell: Cell) -> str:
        match cell:
            case None | "":
                return ""
            case str():
                text = escape(_FORBIDDEN_IN_XML.sub(_escape_character, _ESCAPE_SEQUENCE.sub("_x005F\\g<0>", cell)))
                style = self._workbook.text_style
                return f'<c r="{reference}" s="{style}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
            case date():
                return f'<c r="{reference}" s="{self._workbook.date_style}"><v>{_convert_date(cell)}</v></c>'
            case _:
                return f'<c r="{reference}"><v>{cell!r}</v></c>'


def _create_empty_workbook(layout: Layout, chart_rows: Sequence[Row]) -> _EmptyWorkbook:
    """Create the workbook without rows. A chart contains a copy of the rows that it reads, so they are passed here."""
    import xlsxwriter  # The import takes 0.2 s, so the start does not wait for it: `http_server.warm_up`.

    content = io.BytesIO()
    book = xlsxwriter.Workbook(content, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    heading = book.add_format({"bold": True, "bg_color": "#C00000", "font_color": "#FFFFFF", "border": 1})
    text = book.add_format({"num_format": "@"})
    day = book.add_format({"num_format": "yyyy-mm-dd"})
    sheet = book.add_worksheet(_FORBIDDEN_IN_TITLE.sub(" ", layout.title)[:31])
    sheet.freeze_panes(1, 0)
    for number, column in enumerate(layout.columns):
        sheet.set_column(number, number, column.width, text if layout.is_form else None)
        sheet.write_string(0, number, column.heading, heading)
        if column.comment is not None:
            sheet.write_comment(0, number, column.comment)
    for page in layout.pages:
        additional = book.add_worksheet(page.title)
        additional.set_column(0, 0, page.width)
        additional.write_column(0, 0, page.lines)
    _add_choices(book, sheet, layout)
    if layout.chart is not None:
        for number, row in enumerate(chart_rows, 1):
            for position, cell in enumerate(row):
                if isinstance(cell, str):
                    sheet.write_string(number, position, cell)
                elif cell is not None:
                    sheet.write_number(number, position, _convert_date(cell) if isinstance(cell, date) else cell)
        layout.chart(book, sheet, len(chart_rows))
    # The last row exists only to find the numbers of the styles. `_split_sheet` removes all rows except the headings.
    sheet.write_string(len(chart_rows) + 1, 0, "text", text)
    sheet.write_number(len(chart_rows) + 1, 1, 0, day)
    book.close()
    with zipfile.ZipFile(content) as archive:
        parts = [(name, archive.read(name)) for name in archive.namelist() if name != _SHEET]
        return _split_sheet(archive.read(_SHEET).decode(), parts)


def _add_choices(book: "xlsxwriter.Workbook", sheet: "xlsxwriter.worksheet.Worksheet", layout: Layout) -> None:
    for number, column in enumerate(layout.columns):
        choices = column.choices
        if choices is None or not choices.values:
            continue
        source: str | list[str] = list(choices.values)
        if choices.sheet is not None:
            values_sheet = book.add_worksheet(choices.sheet)
            values_sheet.hide()
            for row, value in enumerate(choices.values):
                values_sheet.write_string(row, 0, value)
            source = f"={choices.sheet}!$A$1:$A${len(choices.values)}"
        error = "stop" if choices.strict else "information"
        rule = {"validate": "list", "source": source, "error_type": error}
        sheet.data_validation(1, number, LAST_CHOICE_ROW, number, rule)


def _split_sheet(sheet: str, parts: Sequence[tuple[str, bytes]]) -> _EmptyWorkbook:
    root = ElementTree.fromstring(sheet)  # noqa: S314 — this process has just written it
    dimension, rows = root.find(f"{_NAMESPACE}dimension"), root.find(f"{_NAMESPACE}sheetData")
    assert dimension is not None
    assert rows is not None
    text_style, date_style = (cell.attrib["s"] for cell in rows[-1])
    before, row_end, _ = sheet.partition("</row>")
    # The optional element `dimension` states the number of rows, which is not known yet, so it is removed.
    before = before.replace(f'<dimension ref="{dimension.attrib["ref"]}"/>', "")
    return _EmptyWorkbook(parts, before + row_end, sheet[sheet.index("</sheetData>") :], text_style, date_style)


def _convert_date(day: date) -> int:
    return (day - _EPOCH).days


def _escape_character(character: re.Match[str]) -> str:
    return f"_x{ord(character[0]):04X}_"


@lru_cache(maxsize=100)
def _build_column_letters(number: int) -> str:
    return (_build_column_letters(number // 26 - 1) if number >= 26 else "") + chr(ord("A") + number % 26)
