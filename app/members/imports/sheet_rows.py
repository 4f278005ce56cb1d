"""The rows of a sheet, whatever it is a sheet of: part of the child process, as `parse_sheet` is."""

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
OPTIONAL = ("是否党员",)
HEADER_WITHIN = 20
LONGEST_CELL = 1000
EXAMPLE = "示例"


class Refused(Exception):  # noqa: N818
    def __init__(self, code: str, **extra: Any) -> None:
        super().__init__(code)
        self.answer = {"refused": code, **extra}


def read(kind: str, content: bytes, unpacked: int, most: int) -> Iterator[list[Cell]]:
    """The rows of a sheet with their numbers; of a zip no more than `unpacked` bytes are unpacked. Raises Refused."""
    if kind == "csv":
        lines = content.count(b"\n") + content.count(b"\r")
        return at_most(most, lines, lambda: people(read_csv(content), frozenset(), []))
    hides = kind == "xls" or unpack(content, unpacked)
    return read_workbook(kind, content, most, hides)


def at_most(most: int, perhaps: int, read_rows: Callable[[], Iterator[list[Cell]]]) -> Iterator[list[Cell]]:
    """The rows of a sheet; where there may be too many, they are counted before the first is handed on."""
    if perhaps > most and sum(1 for _ in islice(read_rows(), most + 1)) > most:
        raise Refused("too-many-rows", limit=most)
    return read_rows()


def people(rows: Iterator[Row], hidden: frozenset[int], merged: Spans) -> Iterator[list[Cell]]:
    """The rows under the header as `[row_no, hidden, name, phone, unit, party]`; the template's example is left out."""
    columns = find_header(rows, merged)
    if columns is None:
        raise Refused("header-missing", columns=list(REQUIRED))
    places = [columns.get(name) for name in (*REQUIRED, *OPTIONAL)]
    for row_no, cells in rows:
        if cells.count("") == len(cells):  # of such rows a sheet may have a million
            continue
        texts = [text_of(cells[place]) if place is not None and place < len(cells) else "" for place in places]
        if any(texts) and not texts[0].startswith(EXAMPLE):
            yield [row_no, row_no in hidden, *texts]


def find_header(rows: Iterator[Row], merged: Spans) -> dict[str, int] | None:
    """Where the columns are: in the first row that has every required one. A row that has some ends the search."""
    for looked, (row_no, cells) in enumerate(rows):
        names = [heading_of(cell) for cell in cells]
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
        if looked + 1 == HEADER_WITHIN:
            break
    return None


def heading_of(cell: Any) -> str:
    """A heading without what people put around it: blanks, an asterisk, a remark in parentheses."""
    plain = unicodedata.normalize("NFKC", cell) if isinstance(cell, str) else ""
    return re.sub(r"\(.*?\)|[\s*:]", "", plain[:100])


def text_of(cell: Any) -> str:
    if isinstance(cell, str):
        return cell[:LONGEST_CELL].strip(" \t\r\n\u00a0\u3000")
    if isinstance(cell, bool):
        return "是" if cell else "否"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e18:
        return str(int(cell))
    return str(cell)[:LONGEST_CELL]


def read_csv(content: bytes) -> Iterator[Row]:
    import csv

    text = decode(content)
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


def decode(content: bytes) -> str:
    marked = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ["utf-16"] if marked else ["utf-8-sig", "gb18030"]:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Refused("encoding-unknown")


def unpack(content: bytes, most: int) -> bool:
    """Unpack every part once without keeping it: what a zip's directory says of sizes is only what it says.

    Gives whether some part has a word by which rows are hidden: few sheets have.
    """
    total, hides = 0, False
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            for entry in packed.infolist():
                with packed.open(entry) as part:
                    beginning = b""
                    while chunk := part.read(1 << 18):
                        total += len(chunk)
                        if total > most:
                            raise Refused("file-bomb")
                        # A prolog may be long: what was read last of it is looked at with what follows.
                        text = beginning + chunk
                        if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
                            raise Refused("file-has-dtd")
                        hides = hides or b"hidden=" in text or b"visibility=" in text
                        beginning = text[-16:]
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, ValueError, RuntimeError) as error:
        code = "file-encrypted" if isinstance(error, RuntimeError) else "file-damaged"
        raise Refused(code) from None
    except zipfile.zlib.error:  # type: ignore[attr-defined]
        raise Refused("file-damaged") from None
    return hides


def read_workbook(kind: str, content: bytes, most: int, hides: bool) -> Iterator[list[Cell]]:
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
                if find_header(rows_of(sheet), merged_rows(sheet)) is not None:
                    chosen.append(sheet)
            except Refused as refused:
                refusal = refusal or refused
        if not chosen:
            raise refusal or Refused("header-missing", columns=list(REQUIRED))
        if len(chosen) > 1:
            raise Refused("sheets-ambiguous", sheets=[sheet.name[:100] for sheet in chosen[:10]])
        hidden: frozenset[int] = frozenset()
        if hides:
            from hidden_rows import hidden_rows  # type: ignore[import-not-found]

            hidden = hidden_rows(kind, content, chosen[0].name)
        sheet = chosen[0]
        yield from at_most(most, sheet.height, lambda: people(rows_of(sheet), hidden, merged_rows(sheet)))
    except calamine.PasswordError:
        raise Refused("file-encrypted") from None
    except (calamine.CalamineError, OSError, ValueError, OverflowError):
        raise Refused("file-damaged") from None


def merged_rows(sheet: Any) -> Spans:
    return [(first[0] + 1, last[0] + 1) for first, last in sheet.merged_cell_ranges or []]


def rows_of(sheet: Any) -> Iterator[Row]:
    if sheet.start is None:
        return
    yield from enumerate(sheet.iter_rows(), sheet.start[0] + 1)
