"""The description of a file of rows, independent of its format. `writer` describes the formats."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

Cell = str | int | float | date | None
"""A string stays text in every program that opens the file, also when it looks like a number, a date or a formula."""
Row = Sequence[Cell]

MAX_CHART_ROWS = 1_000
"""A chart can read this many rows, from the first one on."""


@dataclass(frozen=True, slots=True)
class Choices:
    """A drop-down list. If it is `strict`, the program refuses any other text; otherwise it shows a notice.

    `sheet` is the title of the hidden sheet that contains the values. Without it the values are part of the cells'
    validation rule, which has room for 255 characters.
    """

    values: Sequence[str]
    strict: bool = True
    sheet: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column with its heading and its width in characters. An XLSX also has the comment and the drop-down list."""

    heading: str
    width: int = 16
    comment: str | None = None
    choices: Choices | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """An additional sheet of an XLSX, with one line of text in each row."""

    title: str
    lines: Sequence[str]
    width: int = 90


@dataclass(frozen=True, slots=True)
class Layout:
    """The description of a file without its rows. A CSV has the headings and the rows only.

    The heading row stays visible when the user scrolls. If `is_form` is true, empty cells have the format "text", so
    that a phone number that a user types keeps its leading zero. `chart(book, sheet, rows)` draws with xlsxwriter's
    objects. It can read `rows` rows, at most `MAX_CHART_ROWS`; they begin in row 1, after the headings.
    """

    title: str
    columns: Sequence[Column]
    is_form: bool = False
    pages: Sequence[Page] = ()
    chart: Callable[[Any, Any, int], None] | None = None


class ByteBuffer:
    """A file object in memory to which a `Writer` writes. The caller removes the bytes with `take` after each batch of
    rows, so that the buffer stays small."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def __len__(self) -> int:
        return len(self._bytes)

    def write(self, data: bytes, /) -> int:
        self._bytes += data
        return len(data)

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def take(self) -> bytes:
        """Remove and return the bytes that were written since the last call."""
        taken = bytes(self._bytes)
        self._bytes.clear()
        return taken


class Writer(Protocol):
    """Writes a file to a buffer. Both methods need processor time: call them in a thread."""

    def write_rows(self, rows: Sequence[Row]) -> None:
        """Add rows."""

    def finish(self) -> None:
        """Write the end of the file. No rows can be added after this."""
