"""The writer of a file of rows, in either format."""

from app.sheets.csv_writer import CsvWriter
from app.sheets.layout import ByteBuffer, Layout, Writer
from app.sheets.xlsx_writer import XlsxWriter

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MEDIA_TYPES = {"xlsx": XLSX, "csv": "text/csv; charset=utf-8"}
MAX_XLSX_ROWS = 1_048_575
"""The number of rows that an XLSX can contain after its headings."""


def open_writer(file_format: str, layout: Layout, buffer: ByteBuffer) -> Writer:
    """Return a writer in the file format `file_format` (`xlsx` or `csv`).

    - XLSX: a string is a cell of the type and the format "text", so that it stays text when a user edits it; a date is
      shown as 2026-01-31.
    - CSV: UTF-8 with a byte order mark, because Excel assumes another encoding without it. A text that a program would
      calculate as a formula gets an apostrophe before it, as spreadsheet programs write it themselves.
    """
    return CsvWriter(layout, buffer) if file_format == "csv" else XlsxWriter(layout, buffer)
