"""Rows as CSV (RFC 4180)."""

import codecs
import csv
import io
from collections.abc import Sequence

from app.sheets.layout import ByteBuffer, Layout, Row

_FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class CsvWriter:
    """A `Writer` of CSV. Each batch of rows goes to the buffer at once."""

    def __init__(self, layout: Layout, buffer: ByteBuffer) -> None:
        self._outlet = buffer
        buffer.write(codecs.BOM_UTF8)
        self.write_rows([[column.heading for column in layout.columns]])

    def write_rows(self, rows: Sequence[Row]) -> None:
        lines = io.StringIO(newline="")
        csv.writer(lines).writerows(
            [[_escape_formula(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
        )
        self._outlet.write(lines.getvalue().encode())

    def finish(self) -> None: ...


def _escape_formula(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA_PREFIXES) else text
