"""What a feature says to have something of it exported: a name, who may, and the sheet with its rows.

    async def _sheet(asked: Asked) -> Sheet: ...
    MEMBERS = ExportKind("members", Permission.MEMBERS_READ, _sheet)

Its `jobs.py` adds `export_job(MEMBERS)` to `JOBS`, and a route of its own answers 202 with what `create_export` gives.
Progress, download, deletion and expiry are `app.exports`' own.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.authz.permissions import Permission
from app.core.cipher import Cipher

Cell = str | int | float | date | None
"""A text stays a text in whatever opens the file, whatever it looks like; a number is a number, a date a date."""


@dataclass(frozen=True, slots=True)
class Column:
    """A heading in both languages, and its width in characters."""

    zh: str
    en: str
    width: int = 16


@dataclass(frozen=True, slots=True)
class Sheet:
    """What the file holds. `batches` gives its rows, some thousand at a time; `rows` is how many there are in all.

    `chart(book, sheet, rows)` draws on an xlsx when all rows are written (they begin in row 1, below the headings),
    with xlsxwriter's objects. Such a file is made in memory: for hundreds of rows, not for hundreds of thousands.
    """

    zh: str
    en: str
    columns: Sequence[Column]
    rows: int
    batches: AsyncIterator[Sequence[Sequence[Cell]]]
    chart: Callable[[Any, Any, int], None] | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a kind makes its sheet from. `db` reads one instant for all its statements (REPEATABLE READ, read only)."""

    db: AsyncConnection
    cipher: Cipher
    org_id: UUID
    english: bool
    question: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ExportKind:
    """`permission` is asked for again whenever the finished file is read; who lost it meanwhile gets 404."""

    name: str
    permission: Permission
    sheet: Callable[[Asked], Awaitable[Sheet]]

    @property
    def job(self) -> str:
        return f"export_{self.name}"
