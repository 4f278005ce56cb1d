"""Reads the people of a file in any supported format."""

from __future__ import annotations

import io
import zipfile
from itertools import islice

from .csv_text import choose_delimiter, decode_csv, iterate_rows
from .headers import make_missing
from .headings import REQUIRED, Choices
from .people import SheetReader, Skipped
from .raw_parts import NOTHING, may_need_details, read_details
from .refusals import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from .headers import Row
    from .people import Cell
    from .raw_parts import Details

    Sheet = Any  # python_calamine.CalamineSheet

PICTURES = (
    "xl/media/",
    "Pictures/",
    "Thumbnails/",
    "docProps/thumbnail",
    "xl/embeddings/",
    "media/",
    "ObjectReplacements/",
)
"""Where a workbook has its pictures and other embedded files."""


class Options:
    """How to read a file: what an admin said of its columns, which columns it must have, which of its sheets to read
    (None: all that have people), and whether an empty unit is that of the row above."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.choices = Choices(given.get("columns", ()), given.get("remembered"), given.get("required", REQUIRED))
        self.sheets: list[str] | None = given.get("sheets")
        self.fill_units = bool(given.get("fill_units"))


class FileReader:
    """Reads one file. After `read_people` is exhausted, `describe` says what was read and what was not."""

    def __init__(self, kind: str, content: bytes, unpacked: int, max_rows: int, options: Options) -> None:
        self._kind, self._content, self._unpacked = kind, content, unpacked
        self._max_rows, self._options = max_rows, options
        self._sheets: list[SheetReader] = []
        self._not_read: list[dict[str, str]] = []
        self._skipped = Skipped()

    def read_people(self) -> Iterator[list[Cell]]:
        """Yield the people as `SheetReader.extract_people` does. At most `unpacked` bytes of a zip are unpacked. Raises
        Refused."""
        return self._read_csv() if self._kind == "csv" else self._read_workbook()

    def describe(self) -> dict[str, Any]:
        return {
            "sheets": [sheet.describe(60 if place < 20 else 0) for place, sheet in enumerate(self._sheets)],
            "sheets_not_read": self._not_read[:50],
            "skipped": self._skipped.describe(),
        }

    def _read_csv(self) -> Iterator[list[Cell]]:
        text = decode_csv(self._content)
        lines = self._content.count(b"\n") + self._content.count(b"\r")
        delimiter = choose_delimiter(text, self._options.choices)

        def open_sheets() -> list[SheetReader]:
            sheet = SheetReader("", iterate_rows(text, delimiter), [], self._options.choices)
            if sheet.header is None:
                raise make_missing(self._options.choices.required)
            return [sheet]

        return self._read_sheets(lines, open_sheets, {})

    def _read_workbook(self) -> Iterator[list[Cell]]:
        import python_calamine as calamine

        needs_details = self._kind == "xls" or scan_parts(self._content, self._unpacked)
        try:
            workbook = calamine.CalamineWorkbook.from_filelike(io.BytesIO(self._content))
            entries = [entry for entry in workbook.sheets_metadata if entry.typ == calamine.SheetTypeEnum.WorkSheet]
            names = [entry.name for entry in entries if entry.visible == calamine.SheetVisibleEnum.Visible]
            if not names:
                raise Refused("no-sheet")
            details = {
                name: read_details(self._kind, self._content, name) if needs_details else NOTHING for name in names
            }
            chosen = self._choose_sheets(map(workbook.get_sheet_by_name, names), details)
            for entry in entries:
                if entry.name not in names and self._has_people(workbook.get_sheet_by_name(entry.name)):
                    self._not_read.append({"name": entry.name[:100], "reason": "hidden"})
            height = sum(sheet.end[0] + 1 for sheet in chosen)

            def open_sheets() -> list[SheetReader]:
                return list(self._open_sheets(chosen, details))

            yield from self._read_sheets(height, open_sheets, details)
        except calamine.PasswordError:
            raise Refused("file-encrypted") from None
        except (calamine.CalamineError, OSError, ValueError, OverflowError):
            raise Refused("file-damaged") from None

    def _open_sheets(self, sheets: list[Any], details: Mapping[str, Details]) -> Iterator[SheetReader]:
        before = 0
        for sheet in sheets:
            merged = details[sheet.name].merged if sheet.merged_cell_ranges is None else list_merged_cells(sheet)
            left = sheet.start[1] if sheet.start else 0
            yield SheetReader(sheet.name, iterate_sheet(sheet), merged, self._options.choices, before, left)
            before += sheet.end[0] + 1 if sheet.end else 0

    def _has_people(self, sheet: Any) -> bool:
        """Return whether a hidden sheet has a header and people under it, so that it must be named."""
        try:
            (reader,) = self._open_sheets([sheet], {sheet.name: NOTHING})
        except Refused:
            return False
        return reader.header is not None and next(reader.extract_people(Skipped(), *_UNMARKED), None) is not None

    def _choose_sheets(self, sheets: Iterable[Any], details: Mapping[str, Details]) -> list[Sheet]:
        """Return the sheets with a header and people under it. The others are listed as not read.

        Raises Refused if there is none.
        """
        wanted = self._options.sheets
        chosen, refusal, empty = [], None, False
        for sheet in sheets:
            reason = None
            if wanted is not None and sheet.name not in wanted:
                reason = "not-chosen"
            else:
                try:
                    (reader,) = self._open_sheets([sheet], details)
                    if reader.is_empty:
                        reason = "no-rows"
                    elif reader.header is None:
                        reason = "no-header"
                    elif next(reader.extract_people(Skipped(), *_UNMARKED), None) is None:
                        reason, empty = "no-rows", True
                except Refused as refused:
                    refusal = refusal or refused
                    reason = refused.answer["refused"]
            if reason is None:
                chosen.append(sheet)
            else:
                self._not_read.append({"name": sheet.name[:100], "reason": reason})
        if not chosen:
            raise refusal or (Refused("no-rows") if empty else make_missing(self._options.choices.required))
        return chosen

    def _read_sheets(
        self, estimate: int, open_sheets: Callable[[], list[SheetReader]], details: Mapping[str, Details]
    ) -> Iterator[list[Cell]]:
        """Yield the people of the sheets. Raises Refused if there are more than `max_rows`.

        They are counted before only if `estimate`, an upper bound of their number, exceeds `max_rows`.
        """
        if estimate > self._max_rows:
            counted = self._extract(open_sheets(), details, Skipped())
            if sum(1 for _ in islice(counted, self._max_rows + 1)) > self._max_rows:
                raise Refused("too-many-rows", limit=self._max_rows)
        self._sheets = open_sheets()
        yield from self._extract(self._sheets, details, self._skipped)

    def _extract(
        self, sheets: list[SheetReader], details: Mapping[str, Details], skipped: Skipped
    ) -> Iterator[list[Cell]]:
        for sheet in sheets:
            found = details.get(sheet.name, NOTHING)
            yield from sheet.extract_people(skipped, found.hidden, found.errors, fill_units=self._options.fill_units)


_UNMARKED: tuple[frozenset[int], dict[tuple[int, int], str]] = (frozenset(), {})


def list_merged_cells(sheet: Any) -> list[tuple[int, int, int, int]]:
    return [(top + 1, left, bottom + 1, right) for (top, left), (bottom, right) in sheet.merged_cell_ranges or []]


def iterate_sheet(sheet: Any) -> Iterator[Row]:
    """Yield the rows with their numbers; the library yields the empty rows above the first cell too."""
    return enumerate(sheet.iter_rows(), 1) if sheet.start is not None else iter(())


def scan_parts(content: bytes, max_bytes: int) -> bool:
    """Return whether a part of the zip has details that the parser library does not report.

    Unpacks every part once and discards it, because the sizes in a zip's directory may be wrong. Pictures are left out:
    nothing unpacks them. Raises Refused if all parts have more than `max_bytes` or one has a DTD, and if the zip is
    damaged or encrypted.
    """
    total, needs_details = 0, False
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            for entry in packed.infolist():
                if entry.filename.startswith(PICTURES):
                    continue
                with packed.open(entry) as part:
                    beginning = b""
                    while chunk := part.read(1 << 18):
                        total += len(chunk)
                        if total > max_bytes:
                            raise Refused("file-bomb", limit=max_bytes >> 20)
                        # A keyword may cross two chunks, so each search includes the end of the previous chunk.
                        text = beginning + chunk
                        if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
                            raise Refused("file-has-dtd")
                        needs_details = needs_details or may_need_details(text)
                        beginning = text[-32:]
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, ValueError, RuntimeError) as error:
        code = "file-encrypted" if isinstance(error, RuntimeError) else "file-damaged"
        raise Refused(code) from None
    except zipfile.zlib.error:  # type: ignore[attr-defined]  # not in typeshed
        raise Refused("file-damaged") from None
    return needs_details
