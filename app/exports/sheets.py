"""Rows as a file, a piece at a time and in constant memory: nothing lies on a disk, and nothing typed is a formula.

An xlsx is a zip of XML written straight through; only one with a chart is drawn by xlsxwriter. In a csv what a
spreadsheet program would calculate gets an apostrophe before it, as those programs write it themselves.
"""

import codecs
import csv
import io
import re
import zipfile
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from itertools import count
from typing import Protocol
from xml.sax.saxutils import escape

import xlsxwriter

from app.exports.kinds import Cell, Sheet

MEDIA_TYPES = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv; charset=utf-8",
}
MOST_ROWS = 1_048_575
"""What an xlsx holds below its headings."""

_CALCULATED = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# What XML cannot hold is written out in four digits; what looks as if it were that, with its underscore written out.
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_WRITTEN_OUT = re.compile("_x[0-9A-Fa-f]{4}_")
_FIRST_DAY = date(1899, 12, 30)
_NO_FILE_NAME = re.compile(r"[\[\]:*?/\\']")


class Outlet:
    """Where a file's bytes arrive, to be taken away before there are many."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def __len__(self) -> int:
        return len(self._bytes)

    def write(self, piece: bytes, /) -> int:
        self._bytes += piece
        return len(piece)

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def take(self) -> bytes:
        taken = bytes(self._bytes)
        self._bytes.clear()
        return taken


class Drawn(Protocol):
    """A file that is being written to an outlet. Neither method is for the event loop."""

    def write(self, rows: Sequence[Sequence[Cell]]) -> None: ...

    def finish(self) -> None: ...


def draw(form: str, sheet: Sheet, outlet: Outlet, *, english: bool) -> Drawn:
    """Begin a file of this format, with the headings in one language."""
    if form == "csv":
        return _Csv(sheet, outlet, english)
    return _Xlsx(sheet, outlet, english) if sheet.chart is None else _Charted(sheet, outlet, english)


def plain(text: str) -> str:
    """A text as a csv may hold it: with an apostrophe before what would be calculated."""
    return f"'{text}" if text.startswith(_CALCULATED) else text


class _Csv:
    """UTF-8 with a byte order mark, without which Excel takes it for another encoding."""

    def __init__(self, sheet: Sheet, outlet: Outlet, english: bool) -> None:
        self._outlet = outlet
        outlet.write(codecs.BOM_UTF8)
        self.write([_headings(sheet, english)])

    def write(self, rows: Sequence[Sequence[Cell]]) -> None:
        lines = io.StringIO(newline="")
        csv.writer(lines).writerows([[plain(cell) if isinstance(cell, str) else cell for cell in row] for row in rows])
        self._outlet.write(lines.getvalue().encode())

    def finish(self) -> None: ...


_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_DOCUMENT = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_LOOKS = 'numFmtId="{}" fontId="{}" fillId="{}" borderId="0"'
# Styles by number: 0 a number, 1 a text (and stays one when it is edited), 2 a heading, 3 a date.
_PARTS = {
    "[Content_Types].xml": f'{_XML}<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_OFFICE}.sheet.main+xml"/>'
    f'<Override PartName="/xl/styles.xml" ContentType="{_OFFICE}.styles+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_OFFICE}.worksheet+xml"/></Types>',
    "_rels/.rels": f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_DOCUMENT}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/_rels/workbook.xml.rels": f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_DOCUMENT}/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="rId2" Type="{_DOCUMENT}/styles" Target="styles.xml"/></Relationships>',
    "xl/styles.xml": f'{_XML}<styleSheet xmlns="{_MAIN}">'
    '<numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd"/></numFmts>'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
    '<font><b/><sz val="11"/><color rgb="FFFFFFFF"/><name val="Calibri"/></font></fonts>'
    '<fills count="3"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill>'
    '<fill><patternFill patternType="solid"><fgColor rgb="FFC00000"/></patternFill></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    f'<cellStyleXfs count="1"><xf {_LOOKS.format(0, 0, 0)}/></cellStyleXfs>'
    f'<cellXfs count="4"><xf {_LOOKS.format(0, 0, 0)} xfId="0"/>'
    f'<xf {_LOOKS.format(49, 0, 0)} xfId="0" applyNumberFormat="1"/>'
    f'<xf {_LOOKS.format(49, 1, 2)} xfId="0" applyNumberFormat="1" applyFont="1" applyFill="1"/>'
    f'<xf {_LOOKS.format(164, 0, 0)} xfId="0" applyNumberFormat="1"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>',
}


class _Xlsx:
    """An xlsx of one sheet, its rows written through the zip as they come."""

    def __init__(self, sheet: Sheet, outlet: Outlet, english: bool) -> None:
        self._zip = zipfile.ZipFile(outlet, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        for name, content in _PARTS.items():
            self._zip.writestr(name, content)
        title = escape(_title(sheet, english), {'"': "&quot;"})
        self._zip.writestr(
            "xl/workbook.xml",
            f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_DOCUMENT}">'
            f'<sheets><sheet name="{title}" sheetId="1" r:id="rId1"/></sheets></workbook>',
        )
        self._numbers = count(1)
        self._part = self._zip.open("xl/worksheets/sheet1.xml", "w", force_zip64=True)
        widths = "".join(
            f'<col min="{number}" max="{number}" width="{column.width}" customWidth="1"/>'
            for number, column in enumerate(sheet.columns, 1)
        )
        self._write(
            f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
            '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
            f"<cols>{widths}</cols><sheetData>"
        )
        self._write(row_xml(next(self._numbers), _headings(sheet, english), style=2))

    def write(self, rows: Sequence[Sequence[Cell]]) -> None:
        self._write("".join([row_xml(next(self._numbers), row) for row in rows]))

    def finish(self) -> None:
        self._write("</sheetData></worksheet>")
        self._part.close()
        self._zip.close()

    def _write(self, text: str) -> None:
        self._part.write(text.encode())


def row_xml(number: int, row: Sequence[Cell], style: int = 1) -> str:
    """A row of a sheet's XML; `style`: the workbook's number of that of texts."""
    cells = [_cell(f"{_letters(column)}{number}", cell, style) for column, cell in enumerate(row)]
    return f'<row r="{number}">{"".join(cells)}</row>'


def _cell(place: str, cell: Cell, style: int) -> str:
    match cell:
        case None | "":
            return ""
        case str():
            text = escape(_NO_XML.sub(_written_out, _WRITTEN_OUT.sub("_x005F\\g<0>", cell)))
            return f'<c r="{place}" s="{style}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
        case date():
            return f'<c r="{place}" s="3"><v>{_serial(cell)}</v></c>'
        case _:
            return f'<c r="{place}"><v>{cell!r}</v></c>'


class _Charted:
    """An xlsx with a chart, made whole in memory."""

    def __init__(self, sheet: Sheet, outlet: Outlet, english: bool) -> None:
        self._outlet, self._sheet, self._content = outlet, sheet, io.BytesIO()
        options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        self._book = xlsxwriter.Workbook(self._content, options)
        self._paper = self._book.add_worksheet(_title(sheet, english))
        head = self._book.add_format({"bold": True, "bg_color": "#C00000", "font_color": "#FFFFFF"})
        self._text = self._book.add_format({"num_format": "@"})
        self._date = self._book.add_format({"num_format": "yyyy-mm-dd"})
        for number, column in enumerate(sheet.columns):
            self._paper.set_column(number, number, column.width)
        self._paper.freeze_panes(1, 0)
        self._paper.write_row(0, 0, _headings(sheet, english), head)
        self._rows = 0

    def write(self, rows: Sequence[Sequence[Cell]]) -> None:
        for row in rows:
            self._rows += 1
            for number, cell in enumerate(row):
                if isinstance(cell, str):
                    self._paper.write_string(self._rows, number, cell, self._text)
                elif isinstance(cell, date):
                    self._paper.write_number(self._rows, number, _serial(cell), self._date)
                elif cell is not None:
                    self._paper.write_number(self._rows, number, cell)

    def finish(self) -> None:
        assert self._sheet.chart is not None
        self._sheet.chart(self._book, self._paper, self._rows)
        self._book.close()
        self._outlet.write(self._content.getvalue())


def _serial(day: date) -> int:
    return (day - _FIRST_DAY).days


def _headings(sheet: Sheet, english: bool) -> list[str]:
    return [column.en if english else column.zh for column in sheet.columns]


def _title(sheet: Sheet, english: bool) -> str:
    return _NO_FILE_NAME.sub(" ", sheet.en if english else sheet.zh)[:31]


def _written_out(character: re.Match[str]) -> str:
    return f"_x{ord(character[0]):04X}_"


@lru_cache(maxsize=100)
def _letters(number: int) -> str:
    return (_letters(number // 26 - 1) if number >= 26 else "") + chr(ord("A") + number % 26)
