"""What a feature says to have something of it exported: a name, who may, and the sheet with its rows.

    async def _sheet(asked: Asked) -> Sheet: ...
    MEMBERS = ExportKind("members", Permission.MEMBERS_READ, _sheet)

Its `jobs.py` adds `export_job(MEMBERS)` to `JOBS`, and a route of its own answers 202 with what `create_export` gives.
Progress, download, deletion and expiry are `app.exports`' own.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.authz.permissions import Permission
from app.core.cipher import Cipher
from app.core.i18n import gettext
from app.sheets.layout import Cell, Layout
from app.sheets.layout import Column as Heading


@dataclass(frozen=True, slots=True)
class Column:
    """A column's name in the code, its heading as a message, and its width in characters."""

    name: str
    heading: str
    width: int = 16


@dataclass(frozen=True, slots=True)
class Sheet:
    """What the file holds. `batches` gives its rows, some thousand at a time; `rows` is how many there are in all.

    `chart` is as `app.sheets.layout.Layout` has it.
    """

    title: str
    columns: Sequence[Column]
    rows: int
    batches: AsyncIterator[Sequence[Sequence[Cell]]]
    chart: Callable[[Any, Any, int], None] | None = None

    def layout(self) -> Layout:
        """What the file looks like in the language of the person who asked for it."""
        columns = [Heading(gettext(column.heading), column.width) for column in self.columns]
        return Layout(self.title, columns, chart=self.chart)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a kind makes its sheet from. `db` reads one instant for all its statements (REPEATABLE READ, read only)."""

    db: AsyncConnection
    cipher: Cipher
    org_id: UUID
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
