"""Rows as CSV (RFC 4180)."""

import codecs
import csv
import io
from collections.abc import Sequence

from app.sheets.layout import Layout, Outlet, Row

_CALCULATED = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class CsvWriter:
    """Writes each batch of rows at once."""

    def __init__(self, layout: Layout, outlet: Outlet) -> None:
        self._outlet = outlet
        outlet.write(codecs.BOM_UTF8)
        self.write([[column.heading for column in layout.columns]])

    def write(self, rows: Sequence[Row]) -> None:
        lines = io.StringIO(newline="")
        csv.writer(lines).writerows([[_safe(cell) if isinstance(cell, str) else cell for cell in row] for row in rows])
        self._outlet.write(lines.getvalue().encode())

    def finish(self) -> None: ...


def _safe(text: str) -> str:
    return f"'{text}" if text.startswith(_CALCULATED) else text
