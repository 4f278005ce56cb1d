"""Opening a file of rows in either format."""

from app.sheets.comma_separated import CsvWriter
from app.sheets.layout import Layout, Outlet, Writer
from app.sheets.xlsx import XlsxWriter

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MEDIA_TYPES = {"xlsx": XLSX, "csv": "text/csv; charset=utf-8"}
MOST_ROWS = 1_048_575
"""How many rows an XLSX holds below its headings."""


def open_writer(form: str, layout: Layout, outlet: Outlet) -> Writer:
    """Begin a file of this format, `xlsx` or `csv`.

    - XLSX: a text is a cell of the type and the format "text", so that it stays one when somebody edits it; a date is
      shown as 2026-01-31.
    - CSV: UTF-8 with a byte order mark, without which Excel takes it for another encoding. A text that a program would
      calculate gets an apostrophe before it, as those programs write it themselves.
    """
    return CsvWriter(layout, outlet) if form == "csv" else XlsxWriter(layout, outlet)
