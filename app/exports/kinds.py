"""Export kinds. A feature declares one for data that can be exported: name, permission, and the sheet with its rows.

    async def _build_sheet(request: ExportRequest) -> Sheet: ...
    MEMBERS = ExportKind("members", Permission.MEMBERS_READ, _build_sheet)

The `jobs.py` of the feature adds `export_job(MEMBERS)` to `JOBS`, and a route of the feature returns the result of
`create_export` with the status 202. `app.exports` does the rest: progress, download, deletion and expiry.
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
    """The content of the file. `batches` yields its rows, some thousand at a time; `rows` is the number of all rows.

    `chart` is the `chart` of `app.sheets.layout.Layout`.
    """

    title: str
    columns: Sequence[Column]
    rows: int
    batches: AsyncIterator[Sequence[Sequence[Cell]]]
    chart: Callable[[Any, Any, int], None] | None = None

    def build_layout(self) -> Layout:
        """Return the layout of the file, in the language of the user who requested it."""
        columns = [Heading(gettext(column.heading), column.width) for column in self.columns]
        return Layout(self.title, columns, chart=self.chart)


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """The input from which a kind builds its sheet.

    All statements on `db` read one snapshot (REPEATABLE READ, read only). `question` is the user's request, as JSON.
    """

    db: AsyncConnection
    cipher: Cipher
    org_id: UUID
    question: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ExportKind:
    """A kind of export. Each read of the finished file requires `permission` again; without it the answer is 404."""

    name: str
    permission: Permission
    build_sheet: Callable[[ExportRequest], Awaitable[Sheet]]

    @property
    def job_name(self) -> str:
        return f"export_{self.name}"
