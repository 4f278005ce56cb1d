"""The charts of xlsx reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.exports.kinds import Column

MAX_BARS = 50


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar chart of at most fifty rows, which begin after the first `skipped` rows. A row has one bar for each column
    in `values`.

    `names` is the number of the column that names a row; `values` are the names of the columns with the figures.
    """

    columns: Sequence[Column]
    names: int
    values: tuple[str, ...] = ("members", "active")
    skipped: int = 0

    def __call__(self, book: Any, sheet: Any, rows: int) -> None:
        if rows > self.skipped:
            _insert_chart(self, book, sheet, "column", 1 + self.skipped, min(rows, self.skipped + MAX_BARS))


@dataclass(frozen=True, slots=True)
class Line:
    """A line chart of the first `shown` rows, with one line for each column in `values`. The last line has its own
    axis.

    `names` is the number of the column that names a row; `values` are the names of the columns with the figures.
    """

    columns: Sequence[Column]
    names: int
    shown: int
    values: tuple[str, ...] = ("active", "points_per_head")

    def __call__(self, book: Any, sheet: Any, rows: int) -> None:
        if rows and self.shown:
            _insert_chart(self, book, sheet, "line", 1, min(rows, self.shown))


def _insert_chart(chart: Bars | Line, book: Any, sheet: Any, kind: str, first: int, last: int) -> None:
    drawn = book.add_chart({"type": kind})
    name = sheet.get_name()
    for number, column in enumerate(chart.columns):
        if column.name in chart.values:
            series = {
                "name": [name, 0, number],
                "categories": [name, first, chart.names, last, chart.names],
                "values": [name, first, number, last, number],
            }
            drawn.add_series(series | ({"y2_axis": True} if kind == "line" and column.name == chart.values[-1] else {}))
    drawn.set_title({"name": name})
    drawn.set_size({"width": 720, "height": 360})
    sheet.insert_chart(1, len(chart.columns) + 1, drawn)
