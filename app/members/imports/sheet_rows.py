"""Reads the rows of a sheet in any supported format. Runs in the child process of `sheet_parser`."""

from __future__ import annotations

import io
import re
import unicodedata
import zipfile
from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Row = tuple[int, list[Any]]
    Cell = int | str
    Spans = list[tuple[int, int]]  # first and last row of merged cells

REQUIRED = ("姓名", "手机号码", "支部名称")
OPTIONAL = ("是否党员", "党员类型", "职务")
MAX_HEADER_ROWS = 20
LONGEST_CELL = 1000
EXAMPLE = "示例"


class Refused(Exception):
    """The sheet is refused; `answer` is the object that the parent process reads."""

    def __init__(self, code: str, **extra: Any) -> None:
        super().__init__(code)
        self.answer = {"refused": code, **extra}


def read_rows(kind: str, content: bytes, unpacked: int, max_rows: int) -> Iterator[list[Cell]]:
    """Yield the rows under the header, as `extract_people` returns them.

    At most `unpacked` bytes of a zip are unpacked. Raises Refused.
    """
    if kind == "csv":
        lines = content.count(b"\n") + content.count(b"\r")
        return limit_rows(max_rows, lines, lambda: extract_people(read_csv(content), frozenset(), []))
    may_hide_rows = kind == "xls" or scan_for_hidden_rows(content, unpacked)
    return read_workbook(kind, content, max_rows, may_hide_rows)


def limit_rows(max_rows: int, estimate: int, open_rows: Callable[[], Iterator[list[Cell]]]) -> Iterator[list[Cell]]:
    """Return the rows of a sheet. Raises Refused if there are more than `max_rows`.

    The rows are counted only if `estimate`, an upper bound of their number, exceeds `max_rows`.
    """
    if estimate > max_rows and sum(1 for _ in islice(open_rows(), max_rows + 1)) > max_rows:
        raise Refused("too-many-rows", limit=max_rows)
    return open_rows()


def extract_people(rows: Iterator[Row], hidden: frozenset[int], merged: Spans) -> Iterator[list[Cell]]:
    """Yield the rows under the header as `[row_no, hidden, name, phone, unit, party, party_kind, post]`, without the
    template's example.

    Raises Refused if there is no header.
    """
    columns = find_header(rows, merged)
    if columns is None:
        raise Refused("header-missing", columns=list(REQUIRED))
    positions = [columns.get(name) for name in (*REQUIRED, *OPTIONAL)]
    for row_no, cells in rows:
        if cells.count("") == len(cells):  # a sheet may have a million empty rows, so this test must be fast
            continue
        texts = [convert_to_text(cells[at]) if at is not None and at < len(cells) else "" for at in positions]
        if any(texts) and not texts[0].startswith(EXAMPLE):
            yield [row_no, row_no in hidden, *texts]


def find_header(rows: Iterator[Row], merged: Spans) -> dict[str, int] | None:
    """Return the positions of the columns by heading, or None. The header is the first row with all required headings.

    Raises Refused if a row has only some of the required headings, repeated headings or merged cells.
    """
    for rows_before, (row_no, cells) in enumerate(rows):
        names = [normalize_heading(cell) for cell in cells]
        known = [name for name in names if name in REQUIRED or name in OPTIONAL]
        if known and any(first <= row_no <= last for first, last in merged):
            raise Refused("header-merged")
        doubled = sorted({name for name in known if known.count(name) > 1})
        missing = [name for name in REQUIRED if name not in known]
        if doubled:
            raise Refused("header-doubled", columns=doubled)
        if not missing:
            return {name: names.index(name) for name in known}
        if len(missing) < len(REQUIRED):
            raise Refused("header-missing", columns=missing)
        if rows_before + 1 == MAX_HEADER_ROWS:
            break
    return None


def normalize_heading(cell: Any) -> str:
    """Return a heading without spaces, asterisks, colons and remarks in parentheses."""
    plain = unicodedata.normalize("NFKC", cell) if isinstance(cell, str) else ""
    return re.sub(r"\(.*?\)|[\s*:]", "", plain[:100])


def convert_to_text(cell: Any) -> str:
    if isinstance(cell, str):
        return cell[:LONGEST_CELL].strip(" \t\r\n\u00a0\u3000")
    if isinstance(cell, bool):
        return "是" if cell else "否"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e18:
        return str(int(cell))
    return str(cell)[:LONGEST_CELL]


def read_csv(content: bytes) -> Iterator[Row]:
    import csv

    text = decode_csv(content)
    csv.field_size_limit(1 << 20)
    first = text[:4096].partition("\n")[0]
    delimiter = max(",\t;", key=first.count)
    try:
        for row_no, cells in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), 1):
            if len(cells) > 1000:
                raise Refused("file-damaged")
            yield row_no, list(cells)
    except csv.Error:
        raise Refused("file-damaged") from None


def decode_csv(content: bytes) -> str:
    marked = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ["utf-16"] if marked else ["utf-8-sig", "gb18030"]:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Refused("encoding-unknown")


def scan_for_hidden_rows(content: bytes, max_bytes: int) -> bool:
    """Return whether a part of the zip contains an attribute that hides rows.

    Unpacks every part once and discards it, because the sizes in a zip's directory may be wrong. Raises Refused if all
    parts have more than `max_bytes` or one has a DTD, and if the zip is damaged or encrypted.
    """
    total, may_hide_rows = 0, False
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            for entry in packed.infolist():
                with packed.open(entry) as part:
                    beginning = b""
                    while chunk := part.read(1 << 18):
                        total += len(chunk)
                        if total > max_bytes:
                            raise Refused("file-bomb")
                        # A keyword may cross two chunks, so each search includes the end of the previous chunk.
                        text = beginning + chunk
                        if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
                            raise Refused("file-has-dtd")
                        may_hide_rows = may_hide_rows or b"hidden=" in text or b"visibility=" in text
                        beginning = text[-16:]
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, ValueError, RuntimeError) as error:
        code = "file-encrypted" if isinstance(error, RuntimeError) else "file-damaged"
        raise Refused(code) from None
    except zipfile.zlib.error:  # type: ignore[attr-defined]  # not in typeshed
        raise Refused("file-damaged") from None
    return may_hide_rows


def read_workbook(kind: str, content: bytes, max_rows: int, may_hide_rows: bool) -> Iterator[list[Cell]]:
    import python_calamine as calamine

    try:
        workbook = calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
        sheets = [
            sheet
            for sheet in workbook.sheets_metadata
            if sheet.typ == calamine.SheetTypeEnum.WorkSheet and sheet.visible == calamine.SheetVisibleEnum.Visible
        ]
        if not sheets:
            raise Refused("no-sheet")
        chosen, refusal = [], None
        for entry in sheets:
            sheet = workbook.get_sheet_by_name(entry.name)
            try:
                if find_header(iterate_rows(sheet), list_merged_rows(sheet)) is not None:
                    chosen.append(sheet)
            except Refused as refused:
                refusal = refusal or refused
        if not chosen:
            raise refusal or Refused("header-missing", columns=list(REQUIRED))
        if len(chosen) > 1:
            raise Refused("sheets-ambiguous", sheets=[sheet.name[:100] for sheet in chosen[:10]])
        hidden: frozenset[int] = frozenset()
        if may_hide_rows:
            from hidden_rows import find_hidden_rows  # type: ignore[import-not-found]  # the parser's process has this path

            hidden = find_hidden_rows(kind, content, chosen[0].name)
        sheet = chosen[0]
        yield from limit_rows(
            max_rows, sheet.height, lambda: extract_people(iterate_rows(sheet), hidden, list_merged_rows(sheet))
        )
    except calamine.PasswordError:
        raise Refused("file-encrypted") from None
    except (calamine.CalamineError, OSError, ValueError, OverflowError):
        raise Refused("file-damaged") from None


def list_merged_rows(sheet: Any) -> Spans:
    return [(first[0] + 1, last[0] + 1) for first, last in sheet.merged_cell_ranges or []]


def iterate_rows(sheet: Any) -> Iterator[Row]:
    if sheet.start is None:
        return
    yield from enumerate(sheet.iter_rows(), sheet.start[0] + 1)
