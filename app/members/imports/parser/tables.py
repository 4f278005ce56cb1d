"""Reads a table whose headings are fixed: a filled-in template that is not about people."""

from __future__ import annotations

import io
from itertools import islice

from .cells import convert_to_text
from .csv_text import decode_csv, iterate_rows
from .headers import SEARCHED_ROWS
from .headings import normalize_heading
from .raw_parts import read_details
from .refusals import Refused
from .workbooks import iterate_sheet, scan_parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from .headers import Row

    Cell = int | bool | str

EXAMPLE = "示例"
"""The beginning of the first cell of the template's example."""
NOTHING: frozenset[int] = frozenset()


class TableReader:
    """Reads one table. The header is the first row with all required headings."""

    def __init__(
        self,
        kind: str,
        content: bytes,
        unpacked: int,
        max_rows: int,
        *,
        required: Sequence[str],
        optional: Sequence[str],
    ) -> None:
        self._kind, self._content, self._unpacked, self._max_rows = kind, content, unpacked, max_rows
        self._required, self._headings = required, [*required, *optional]

    def read_rows(self) -> Iterator[list[Cell]]:
        """Yield `[row number, hidden, one text for each heading]`. At most `unpacked` bytes of a zip are unpacked.
        Raises Refused."""
        if self._kind != "csv":
            return self._read_workbook()
        text = decode_csv(self._content)
        first = text[:4096].partition("\n")[0]
        delimiter = max(",\t;", key=first.count)
        lines = self._content.count(b"\n") + self._content.count(b"\r")
        return self._limit_rows(lines, lambda: self._extract(iterate_rows(text, delimiter), NOTHING))

    def describe(self) -> dict[str, Any]:
        return {}

    def _read_workbook(self) -> Iterator[list[Cell]]:
        import python_calamine as calamine

        needs_details = self._kind == "xls" or scan_parts(self._content, self._unpacked)
        try:
            workbook = calamine.CalamineWorkbook.from_filelike(io.BytesIO(self._content))
            names = [
                entry.name
                for entry in workbook.sheets_metadata
                if entry.typ == calamine.SheetTypeEnum.WorkSheet and entry.visible == calamine.SheetVisibleEnum.Visible
            ]
            if not names:
                raise Refused("no-sheet")
            chosen, refusal = None, None
            for name in names:
                sheet = workbook.get_sheet_by_name(name)
                try:
                    self._find_header(iterate_sheet(sheet))
                except Refused as refused:
                    refusal = refusal or refused
                    continue
                chosen = sheet
                break
            if chosen is None:
                raise refusal or Refused("no-sheet")
            hidden = read_details(self._kind, self._content, chosen.name).hidden if needs_details else NOTHING
            height = chosen.end[0] + 1 if chosen.end else 0
            yield from self._limit_rows(height, lambda: self._extract(iterate_sheet(chosen), hidden))
        except calamine.PasswordError:
            raise Refused("file-encrypted") from None
        except (calamine.CalamineError, OSError, ValueError, OverflowError):
            raise Refused("file-damaged") from None

    def _limit_rows(self, estimate: int, open_rows: Callable[[], Iterator[list[Cell]]]) -> Iterator[list[Cell]]:
        """Return the rows. Raises Refused if there are more than `max_rows`; they are counted only if `estimate`, an
        upper bound of their number, exceeds it."""
        if estimate > self._max_rows and sum(1 for _ in islice(open_rows(), self._max_rows + 1)) > self._max_rows:
            raise Refused("too-many-rows", limit=self._max_rows)
        return open_rows()

    def _extract(self, rows: Iterator[Row], hidden: frozenset[int]) -> Iterator[list[Cell]]:
        columns = self._find_header(rows)
        positions = [columns.get(normalize_heading(heading)) for heading in self._headings]
        for row_no, cells in rows:
            if cells.count("") == len(cells):  # a sheet may have a million empty rows, so this test is fast
                continue
            texts = [convert_to_text(cells[at]) if at is not None and at < len(cells) else "" for at in positions]
            if any(texts) and not texts[0].startswith(EXAMPLE):
                yield [row_no, row_no in hidden, *texts]

    def _find_header(self, rows: Iterator[Row]) -> dict[str, int]:
        """Return the position of each normalized heading. Raises Refused."""
        best = list(self._required)
        known = set(map(normalize_heading, self._headings))
        for _, cells in islice(rows, SEARCHED_ROWS):
            keys = [normalize_heading(cell) for cell in cells]
            missing = [heading for heading in self._required if normalize_heading(heading) not in keys]
            if not missing:
                doubled = sorted({key for key in keys if key in known and keys.count(key) > 1})
                if doubled:
                    raise Refused("header-doubled", columns=doubled)
                return {key: place for place, key in enumerate(keys)}
            if len(missing) < len(best):
                best = missing
        raise Refused("header-missing", columns=best, searched=SEARCHED_ROWS)
