"""The rows of people under the header of a sheet, and the count of every row that is skipped."""

from __future__ import annotations

from itertools import chain, islice

from .cells import LONGEST_CELL, convert_to_text, is_date
from .headers import SEARCHED_ROWS, find_header
from .headings import FIELDS
from .other_rows import DITTO_BEGINNINGS, EXAMPLE, NAME, PHONE, UNIT, find_cause, is_ditto, list_texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from .headers import Header, Row, Spans
    from .headings import Choices

    Cell = int | bool | str | list[str]

MAX_LISTED = 20
"""Of each cause at most so many skipped rows are listed by their numbers."""


class Skipped:
    """The rows that were skipped: how many by cause, and the numbers of the first of them."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.rows: dict[str, list[int]] = {}

    def add(self, cause: str, rows: list[int], count: int = 1) -> None:
        self.counts[cause] = self.counts.get(cause, 0) + count
        listed = self.rows.setdefault(cause, [])
        listed += rows[: MAX_LISTED - len(listed)]

    def describe(self) -> list[dict[str, Any]]:
        return [{"cause": cause, "count": count, "rows": self.rows[cause]} for cause, count in self.counts.items()]


class SheetReader:
    """Reads one sheet.

    `before` is the number of rows of the sheets before it: rows are numbered through the file. The cells of each row
    begin after `left` empty columns.
    """

    def __init__(
        self, name: str, rows: Iterator[Row], merged: Spans, choices: Choices, before: int = 0, left: int = 0
    ) -> None:
        self.name, self._before, self._left = name, before, left
        self._merged = [(top, first - left, bottom, last - left) for top, first, bottom, last in merged]
        head = list(islice(rows, SEARCHED_ROWS + 1))
        self.is_empty = not any(any(cell != "" for cell in cells) for _, cells in head)
        self.header: Header | None = find_header(head[:SEARCHED_ROWS], self._merged, choices, name, left)
        # A printed list has its title on each page, above the header.
        last = self.header.last if self.header else 0
        self._titles = [texts for row_no, cells in head if row_no <= last and (texts := list_texts(cells))]
        self._rows = chain(head, rows)
        self.people = 0

    def extract_people(
        self,
        skipped: Skipped,
        hidden: frozenset[int],
        errors: Mapping[tuple[int, int], str],
        *,
        fill_units: bool = False,
    ) -> Iterator[list[Cell]]:
        """Yield the people as `[row number, hidden, one text for each of FIELDS, marks]`; count the other rows.

        `errors` are the error values that the parser library reports as empty cells. A mark is a code of a warning or
        problem that cannot be seen in the texts.
        """
        header = self.header
        assert header is not None
        before, positions = self._before, header.columns.positions
        columns = [positions.get(field) for field in FIELDS]
        present = [(place, column) for place, column in enumerate(columns) if column is not None]
        width = max(column for _, column in present) + 1
        dated = [(place, column) for place, column in present if place in {NAME, UNIT}]
        filler = _Filler(self._merged, columns, header.last)
        above: list[str] = [""] * len(FIELDS)
        blanks: list[int] = []
        blank_count = 0
        for row_no, cells in self._rows:
            if row_no <= header.last:
                continue
            # A sheet may have a million empty rows, and a hundred thousand people. So the tests that every row passes
            # are fast ones.
            if cells.count("") == len(cells):
                if blank_count < MAX_LISTED:
                    blanks.append(before + row_no)
                blank_count += 1
                continue
            if blank_count:  # rows below the last person are no part of the table
                skipped.add("blank", blanks, blank_count)
                blanks, blank_count = [], 0
            if len(cells) < width:
                cells += [""] * (width - len(cells))  # noqa: PLW2901 — a row of a CSV may be short
            texts = [""] * len(FIELDS)
            for place, column in present:
                cell = cells[column]
                # Most cells are letters and digits only, so nothing is to be removed from them.
                plain = type(cell) is str and cell.isalnum() and len(cell) <= LONGEST_CELL
                texts[place] = cell if plain else convert_to_text(cell)
            marks: list[str] = []
            if filler.spans:
                filler.fill(row_no, texts)
            if errors:
                _put_errors(errors, row_no, self._left, present, texts)
            phone = texts[PHONE]
            plain = len(phone) == len(EXAMPLE[1]) and phone != EXAMPLE[1] and phone.isdigit()
            if not plain or not texts[NAME].isalnum():
                cause = find_cause(cells, texts, self._titles)
                if cause is not None:
                    skipped.add(cause, [before + row_no])
                    continue
            if not DITTO_BEGINNINGS.isdisjoint([text[:1] for text in texts]):
                texts = [above[place] if is_ditto(text) else text for place, text in enumerate(texts)]
            if not texts[UNIT]:
                if columns[UNIT] is None:
                    texts[UNIT] = header.unit
                elif fill_units and above[UNIT]:
                    texts[UNIT] = above[UNIT]
                    marks.append("unit-filled-down")
            for place, column in dated:
                cell = cells[column]
                if (type(cell) is not str or cell[:1].isdigit()) and texts[place] and is_date(cell):
                    marks.append(f"cell-date:{FIELDS[place]}")
            for place, _ in present:
                if texts[place]:
                    above[place] = texts[place]
            self.people += 1
            yield [before + row_no, row_no in hidden, *texts, marks]

    def describe(self, most_columns: int) -> dict[str, Any]:
        """Return what was read of the sheet: its header, its columns and the number of its people."""
        header = self.header
        assert header is not None
        return {
            "name": self.name[:100],
            "before": self._before,
            "header_row": header.last,
            "rows": self.people,
            "columns": header.columns.describe(most_columns),
            "unit_from": header.unit_from,
            "unit": header.unit[:100] or None,
        }


class _Filler:
    """Fills cells that are merged downwards: the text of the first row is that of all rows."""

    def __init__(self, merged: Spans, columns: list[int | None], header_row: int) -> None:
        fields = {column: place for place, column in enumerate(columns) if column is not None}
        self.spans = sorted(
            (top, bottom, fields[left])
            for top, left, bottom, _ in merged
            if bottom > top > header_row and left in fields
        )
        self._next = 0
        self._open: dict[int, tuple[int, str]] = {}

    def fill(self, row_no: int, texts: list[str]) -> None:
        spans = self.spans
        while self._next < len(spans) and spans[self._next][0] <= row_no:
            top, bottom, place = spans[self._next]
            self._next += 1
            if top == row_no:
                self._open[place] = (bottom, texts[place])
        for place, (bottom, text) in self._open.items():
            if row_no <= bottom and not texts[place]:
                texts[place] = text


def _put_errors(
    errors: Mapping[tuple[int, int], str], row_no: int, left: int, present: list[tuple[int, int]], texts: list[str]
) -> None:
    for place, column in present:
        if not texts[place]:
            texts[place] = errors.get((row_no, column + left), "")
