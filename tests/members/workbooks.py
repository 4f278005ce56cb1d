"""Sheets as clerks have them, in every format, and their reading by the parser without a process."""

import io
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

import xlsxwriter
from openpyxl.workbook import workbook

from app.members.imports.parser.headings import FIELDS
from app.members.imports.parser.refusals import Refused
from app.members.imports.parser.workbooks import FileReader, Options
from tests.members.hostile import make_zip
from tests.members.hostile import xls as make_xls

Rows = Sequence[Sequence[Any]]
HEAD = ("姓名", "手机号码", "支部名称")
A, B, C = (("张伟", "13900000001", "一支部"), ("李娜", "13900000002", "一支部"), ("王芳", "13900000003", "二支部"))


def by_openpyxl(sheets: Mapping[str, Rows], merge: Sequence[str] = (), hidden: Sequence[int] = ()) -> bytes:
    make_book: Any = workbook.Workbook
    book = make_book()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row_no, row in enumerate(rows, 1):
            for column, value in enumerate(row, 1):
                if value != "":
                    sheet.cell(row_no, column, value)
        for area in merge:
            sheet.merge_cells(area)
        for row_no in hidden:
            sheet.row_dimensions[row_no].hidden = True
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def by_xlsxwriter(sheets: Mapping[str, Rows], merge: Sequence[str] = (), hidden: Sequence[int] = ()) -> bytes:
    content = io.BytesIO()
    book = xlsxwriter.Workbook(content, {"in_memory": True})
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        for area in merge:
            sheet.merge_range(area, "")
        for row_no, row in enumerate(rows):
            for column, value in enumerate(row):
                if value != "":
                    sheet.write(row_no, column, value)
        for row_no in hidden:
            sheet.set_row(row_no - 1, None, None, {"hidden": True})
    book.close()
    return content.getvalue()


def ods(sheets: Mapping[str, Rows], merge: Mapping[tuple[int, int], int] | None = None) -> bytes:
    """Return an OpenDocument file as LibreOffice writes it: empty rows and cells are counted, not repeated. `merge` has
    the number of rows of each merged cell, by row and column from 0."""
    merge = merge or {}
    spaces = " ".join(
        f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{short}:1.0"' for short in ("office", "table", "text")
    )
    tables = []
    for name, rows in sheets.items():
        lines, empty = [], 0
        for row_no, row in enumerate(rows):
            if not any(row):
                empty += 1
                continue
            if empty:
                lines.append(
                    f'<table:table-row table:number-rows-repeated="{empty}"><table:table-cell/></table:table-row>'
                )
                empty = 0
            cells = []
            for column, value in enumerate(row):
                span = merge.get((row_no, column))
                spanned = f' table:number-columns-spanned="1" table:number-rows-spanned="{span}"' if span else ""
                cells.append(
                    f'<table:table-cell{spanned} office:value-type="string"><text:p>{escape(str(value))}</text:p>'
                    "</table:table-cell>"
                    if value != ""
                    else "<table:table-cell/>"
                )
            lines.append(f"<table:table-row>{''.join(cells)}</table:table-row>")
        tables.append(f'<table:table table:name="{name}">{"".join(lines)}</table:table>')
    xml = (
        f"<office:document-content {spaces}><office:body><office:spreadsheet>{''.join(tables)}</office:spreadsheet>"
        "</office:body></office:document-content>"
    )
    kind = b"application/vnd.oasis.opendocument.spreadsheet"
    manifest = b'<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
    return make_zip([("mimetype", kind), ("content.xml", xml.encode()), ("META-INF/manifest.xml", manifest)])


def csv(rows: Rows, delimiter: str = ",", encoding: str = "utf-8-sig") -> bytes:
    return "\r\n".join(delimiter.join(map(str, row)) for row in rows).encode(encoding)


def in_all_formats(rows: Rows) -> dict[str, tuple[str, bytes]]:
    """Return one sheet in each format, by the name of its writer: the format and the file."""
    return {
        "openpyxl": ("xlsx", by_openpyxl({"Sheet1": rows})),
        "xlsxwriter": ("xlsx", by_xlsxwriter({"Sheet1": rows})),
        "ods": ("ods", ods({"Sheet1": rows})),
        "xls": ("xls", make_xls([[str(cell) for cell in row] for row in rows])),
        "csv": ("csv", csv(rows)),
    }


class Result:
    """What the parser reads of a file: the people by their fields, and the description of the reading."""

    def __init__(self, kind: str, content: bytes, **options: Any) -> None:
        reader = FileReader(kind, content, 400 << 20, 200_000, Options(options))
        self.rows = list(reader.read_people())
        self.reading = reader.describe()

    @property
    def people(self) -> list[tuple[Any, ...]]:
        """Return name, phone and unit of each person."""
        return [tuple(row[2:5]) for row in self.rows]

    @property
    def numbers(self) -> list[Any]:
        return [row[0] for row in self.rows]

    @property
    def skipped(self) -> dict[str, list[int]]:
        return {skipped["cause"]: skipped["rows"] for skipped in self.reading["skipped"]}

    @property
    def fields(self) -> dict[str, str | None]:
        """Return what each heading of the first sheet is read as."""
        return {column["heading"]: column["field"] for column in self.reading["sheets"][0]["columns"]}

    def column(self, field: str) -> list[Any]:
        return [row[2 + FIELDS.index(field)] for row in self.rows]


def refusal(kind: str, content: bytes, **options: Any) -> dict[str, Any]:
    """Return the answer with which the parser refuses the file."""
    try:
        Result(kind, content, **options)
    except Refused as refused:
        return refused.answer
    raise AssertionError("the file is read")
