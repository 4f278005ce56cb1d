"""The rows of a CSV file."""

from __future__ import annotations

import csv
import io
import re
from itertools import islice

from .headers import SEARCHED_ROWS, find_header
from .refusals import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .headers import Row
    from .headings import Choices

_DELIMITERS = (",", "\t", ";", "，", "；", "|")
_MAX_CELLS = 1000
_MAX_FIELD = 1 << 20
_PHONE = re.compile(r"(?<![0-9])1[3-9][0-9]{9}(?![0-9])")


def choose_delimiter(text: str, choices: Choices) -> str:
    """Return the delimiter with which the first lines contain a header: a title may stand above it. Without a header,
    return the delimiter that is most frequent there."""
    beginning = "".join(islice(io.StringIO(text[: 1 << 16], newline=""), SEARCHED_ROWS))
    for delimiter in sorted(_DELIMITERS, key=beginning.count, reverse=True):
        if delimiter in beginning:
            try:
                head = list(islice(iterate_rows(beginning, delimiter), SEARCHED_ROWS))
                if find_header(head, [], choices) is not None:
                    return delimiter
            except Refused as refused:
                if refused.answer["refused"] in {"header-doubled", "header-ambiguous"}:
                    return delimiter
    return max(_DELIMITERS, key=beginning.count)


def iterate_rows(text: str, delimiter: str) -> Iterator[Row]:
    """Yield the rows with their numbers, as a spreadsheet program numbers them. Raises Refused if a quotation mark
    opens a cell and nothing closes it, or if a cell has swallowed the rows that follow."""
    csv.field_size_limit(_MAX_FIELD)
    lines = _Lines(text)
    row_no, last_line = 0, 0
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        row_no += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise Refused("file-damaged", row=row_no) from None
        if len(cells) > _MAX_CELLS:
            raise Refused("file-damaged", row=row_no)
        # A quotation mark that nothing closes makes a row of several lines, or is in the last line.
        quotes = sum(line.count('"') for line in lines.taken)
        torn = quotes and (quotes % 2 or reader.line_num > last_line + 1) and _is_torn("".join(lines.taken), delimiter)
        if torn:
            raise Refused("file-damaged", row=row_no, cause="quote-open")
        last_line = reader.line_num
        lines.taken.clear()
        yield row_no, list(cells)


class _Lines:
    """The lines of a text, with those that the present row has taken."""

    def __init__(self, text: str) -> None:
        self._lines = io.StringIO(text, newline="")
        self.taken: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.taken.append(line)
        return line


def _is_torn(record: str, delimiter: str) -> bool:
    """Return whether a row of several lines has a cell whose quotation mark is not closed where the cell ends.

    Such a cell takes in other rows: the end of the file closes it, or a quotation mark within a later row, or there is
    a row with a phone in it, or a line with as many cells as the first one.
    """
    first, *others = (line.count(delimiter) for line in re.split(r"\r\n|\r|\n", record))
    if first >= 2 and first in others:
        return True
    at = 0
    while at <= len(record):
        if record.startswith('"', at):
            opened = at + 1
            closed = opened
            while True:
                closed = record.find('"', closed)
                if closed < 0:
                    return True
                if not record.startswith('""', closed):
                    break
                closed += 2
            content = record[opened:closed]
            after = record[closed + 1 : closed + 2]
            if "\n" in content or "\r" in content:
                if after not in {"", delimiter, "\r", "\n"}:
                    return True
                rest = re.split(r"[\r\n]+", content)[1:]
                if any(line.count(delimiter) >= 2 and _PHONE.search(line) for line in rest):
                    return True
            at = closed + 1
        following = record.find(delimiter, at)
        if following < 0:
            return False
        at = following + len(delimiter)
    return False


def decode_csv(content: bytes) -> str:
    """Return the text of a CSV in UTF-8, GB18030 or UTF-16. Raises Refused."""
    for encoding in _guess_encodings(content):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Refused("encoding-unknown")


def _guess_encodings(content: bytes) -> list[str]:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return ["utf-16"]
    beginning = content[: 1 << 12]
    if beginning.count(0) * 8 > len(beginning):  # digits and commas of UTF-16, without a byte order mark
        return ["utf-16-le" if beginning[1::2].count(0) > beginning[::2].count(0) else "utf-16-be"]
    return ["utf-8-sig", "gb18030"]
