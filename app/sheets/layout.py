"""What a file of rows looks like, whatever its format. The formats themselves are described in `writer`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

Cell = str | int | float | date | None
"""A text stays a text in whatever opens the file, whatever it looks like; a number is a number, a date a date."""
Row = Sequence[Cell]

CHARTED = 1_000
"""How many of the first rows a chart may read."""


@dataclass(frozen=True, slots=True)
class Choices:
    """A drop-down list. With `only`, the program refuses any other text, else it only remarks on it.

    `sheet` is the title of the hidden sheet that holds the values. Without one they are part of the cells' rule, which
    has room for 255 characters.
    """

    values: Sequence[str]
    only: bool = True
    sheet: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, its width in characters, and in an XLSX a comment on the heading and a drop-down list."""

    heading: str
    width: int = 16
    comment: str | None = None
    choices: Choices | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A further sheet of an XLSX, with a line of text in each row."""

    title: str
    lines: Sequence[str]
    width: int = 90


@dataclass(frozen=True, slots=True)
class Layout:
    """What a file looks like before it has rows. A CSV has the headings and the rows only.

    The heading row stays in sight when the sheet is scrolled. With `fill_in`, empty cells have the format "text", so
    that a phone number typed into one keeps its leading zero. `chart(book, sheet, rows)` draws with xlsxwriter's
    objects and may read as many rows as it is told, at most the first `CHARTED`; they begin in row 1, below the
    headings.
    """

    title: str
    columns: Sequence[Column]
    fill_in: bool = False
    pages: Sequence[Page] = ()
    chart: Callable[[Any, Any, int], None] | None = None


class Outlet:
    """Where a file's bytes arrive, to be taken away before there are many."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def __len__(self) -> int:
        return len(self._bytes)

    def write(self, piece: bytes, /) -> int:
        self._bytes += piece
        return len(piece)

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def take(self) -> bytes:
        """The bytes since the last time."""
        taken = bytes(self._bytes)
        self._bytes.clear()
        return taken


class Writer(Protocol):
    """A file that is being written to an outlet. Both methods take processor time: call them in a thread."""

    def write(self, rows: Sequence[Row]) -> None:
        """Add rows."""

    def finish(self) -> None:
        """Write the end of the file. Nothing can be added afterwards."""
