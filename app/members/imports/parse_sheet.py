"""Reads one sheet: the program of a child process, run by its path and never imported by the service.

The parsers of office files meet whatever somebody uploads, and one hostile file of 5 kB can abort the process it is
parsed in. So it happens here: under limits of memory and processor time that are set before anything is read, with an
empty environment, no open file but the sheet (stdin) and the pipe back (stdout), and nothing of the service imported.

    python -I parse_sheet.py FORMAT MAX_ROWS MEMORY_MB CPU_SECONDS MAX_UNPACKED_MB  < sheet

It writes JSON lines: arrays of rows `[row_no, hidden, name, phone, unit, party]`, a few hundred each, and at the end
one object, `{"done": true}` or `{"refused": code, …}`. Whatever else becomes of it is for the parent to judge.
"""

import csv
import datetime
import io
import json
import os
import re
import resource
import sys
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

# The service's folder is not on the path of this process; its neighbour is found last, after the standard library.
sys.path.append(str(Path(__file__).parent))
from hidden_rows import hidden_rows  # type: ignore[import-not-found]

REQUIRED = ("姓名", "手机号码", "支部名称")
OPTIONAL = ("是否党员",)
HEADER_WITHIN = 20
BATCH = 500
LONGEST_CELL = 1000
EXAMPLE = "示例"

Row = tuple[int, list[Any]]
Spans = list[tuple[int, int]]  # first and last row of merged cells


class Refused(Exception):  # noqa: N818
    def __init__(self, code: str, **extra: Any) -> None:
        super().__init__(code)
        self.answer = {"refused": code, **extra}


def main() -> None:
    kind, *numbers = sys.argv[1:]
    max_rows, memory, seconds, unpacked = map(int, numbers)
    limit(memory << 20, seconds)
    output = sys.stdout
    try:
        count = 0
        for batch in batches(read(kind, sys.stdin.buffer.read(), unpacked << 20, max_rows)):
            count += len(batch)
            output.write(json.dumps(batch) + "\n")
        if not count:
            raise Refused("no-rows")
        answer: dict[str, Any] = {"done": True}
    except Refused as refused:
        answer = refused.answer
    except MemoryError:
        answer = {"refused": "file-exhausting"}
    output.write(json.dumps(answer) + "\n")
    output.flush()


def limit(memory: int, seconds: int) -> None:
    """What this process may use, before it reads a byte: no dump of its memory, no file, no other process.

    What it was started with is closed too: not every event loop keeps it from a child (uvloop does not).
    """
    os.closerange(3, 1 << 20)
    for name, value in (
        ("RLIMIT_CORE", 0),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_NPROC", 0),
        ("RLIMIT_CPU", seconds),
        ("RLIMIT_AS", memory),
    ):
        _, hard = resource.getrlimit(getattr(resource, name))
        lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(getattr(resource, name), (lowest, lowest))


def batches(rows: Iterable[list[Any]]) -> Iterator[list[list[Any]]]:
    batch: list[list[Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def read(kind: str, content: bytes, unpacked: int, most: int) -> Iterator[list[Any]]:
    if kind == "csv":
        lines = content.count(b"\n") + content.count(b"\r")
        return at_most(most, lines, lambda: people(read_csv(content), frozenset(), []))
    if kind != "xls":
        unpack(content, unpacked)
    return read_workbook(kind, content, most)


def at_most(most: int, perhaps: int, read_rows: Callable[[], Iterator[list[Any]]]) -> Iterator[list[Any]]:
    """The rows of a sheet; where there may be too many, they are counted before the first is handed on."""
    if perhaps > most and sum(1 for _ in islice(read_rows(), most + 1)) > most:
        raise Refused("too-many-rows", limit=most)
    return read_rows()


def people(rows: Iterator[Row], hidden: frozenset[int], merged: Spans) -> Iterator[list[Any]]:
    """The rows under the header as `[row_no, hidden, name, phone, unit, party]`; the template's example is left out."""
    columns = find_header(rows, merged)
    if columns is None:
        raise Refused("header-missing", columns=list(REQUIRED))
    places = [columns.get(name) for name in (*REQUIRED, *OPTIONAL)]
    for row_no, cells in rows:
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
    if isinstance(cell, datetime.date | datetime.time | datetime.timedelta):
        return str(cell)
    return str(cell)[:LONGEST_CELL]


def read_csv(content: bytes) -> Iterator[Row]:
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


def unpack(content: bytes, most: int) -> None:
    """Unpack every part once without keeping it: what a zip's directory says of sizes is only what it says."""
    total = 0
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
                        if b"<!DOCTYPE" in beginning + chunk or b"<!ENTITY" in beginning + chunk:
                            raise Refused("file-has-dtd")
                        beginning = chunk[-16:]
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, ValueError, RuntimeError) as error:
        code = "file-encrypted" if isinstance(error, RuntimeError) else "file-damaged"
        raise Refused(code) from None
    except zipfile.zlib.error:  # type: ignore[attr-defined]
        raise Refused("file-damaged") from None


def read_workbook(kind: str, content: bytes, most: int) -> Iterator[list[Any]]:
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


if __name__ == "__main__":
    main()
