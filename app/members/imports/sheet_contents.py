"""What was read of a file: its sheets, its columns, and the rows that were skipped."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.i18n import gettext, gettext_noop, join_words, ngettext
from app.database.db import Readable
from app.members.imports.parser.headings import normalize_heading
from app.members.imports.schemas import (
    ColumnOut,
    ReadingOut,
    RowPlaceOut,
    SheetNotReadOut,
    SheetReadingOut,
    SkipCause,
    SkippedRowsOut,
)
from app.schema.imports import Import, ImportHeading

_CAUSES: dict[str, str] = {
    SkipCause.EXAMPLE: gettext_noop("示例"),
    SkipCause.BLANK: gettext_noop("空行"),
    SkipCause.TOTAL: gettext_noop("合计"),
    SkipCause.REPEATED_HEADER: gettext_noop("重复表头"),
    SkipCause.NOTE: gettext_noop("签名或备注"),
}
_NOT_READ: dict[str, str] = {
    "no-rows": gettext_noop("没有人员"),
    "no-header": gettext_noop("没有表头"),
    "not-chosen": gettext_noop("未选择"),
    "hidden": gettext_noop("工作表被隐藏"),
    "header-missing": gettext_noop("缺少必需的表头"),
    "header-doubled": gettext_noop("表头重复"),
    "header-ambiguous": gettext_noop("有多列都可能是需要的一列"),
    "header-merged": gettext_noop("表头横跨多列"),
}


MAX_REMEMBERED = 200
# They are an argument of the program that reads the file, which may have 128 kB.
_HEADINGS = (
    select(ImportHeading.heading, ImportHeading.field)
    .where(ImportHeading.org_id == bindparam("org_id"))
    .order_by(ImportHeading.chosen_at.desc(), ImportHeading.heading)
    .limit(MAX_REMEMBERED)
)
_READING = select(Import.reading).where(Import.org_id == bindparam("org_id"), Import.id == bindparam("import_id"))


class RowPlaces:
    """Where the rows of an import are in its file: rows are numbered through the sheets that were read."""

    def __init__(self, reading: Mapping[str, Any] | None) -> None:
        sheets = (reading or {}).get("sheets", [])
        self._names = [sheet["name"] for sheet in sheets]
        self._before = [sheet["before"] for sheet in sheets]

    def find(self, row_no: int) -> RowPlaceOut:
        """Return the sheet and the row with this number."""
        if len(self._names) < 2:
            return RowPlaceOut(sheet=None, row_no=row_no)
        place = bisect_left(self._before, row_no) - 1
        return RowPlaceOut(sheet=self._names[place], row_no=row_no - self._before[place])


def describe_related_rows(rows: Sequence[RowPlaceOut]) -> str:
    """Return a sentence that names the related rows of a row."""
    if rows[0].sheet is not None:
        return gettext("另见{places}", places=describe_places(rows))
    return ngettext("另见第 {rows} 行", len(rows), rows=join_words(str(row.row_no) for row in rows))


def describe_places(rows: Sequence[RowPlaceOut]) -> str:
    """Return the rows as a list of words."""
    return join_words(str(row.row_no) if row.sheet is None else _describe_place(row) for row in rows)


def _describe_place(place: RowPlaceOut) -> str:
    return gettext("“{sheet}”第 {row} 行", sheet=place.sheet, row=place.row_no)


async def get_places(db: Readable, org_id: UUID, import_id: UUID) -> RowPlaces:
    """Return where the rows of the import are in its file."""
    return RowPlaces(await db.scalar(_READING, {"org_id": org_id, "import_id": import_id}))


def count_skipped(reading: Mapping[str, Any] | None) -> int:
    """Return the number of rows that were skipped."""
    return sum(skipped["count"] for skipped in (reading or {}).get("skipped", ()))


def make_reading_out(reading: Mapping[str, Any], options: Mapping[str, Any]) -> ReadingOut:
    """Return a stored reading in the language of the request."""
    places = RowPlaces(reading)
    return ReadingOut(
        sheets=[
            SheetReadingOut(
                name=sheet["name"] or None,
                columns=mark_chosen(sheet["columns"], options),
                **{key: sheet[key] for key in ("header_row", "rows", "unit_from", "unit")},
            )
            for sheet in reading["sheets"]
        ],
        sheets_not_read=[_make_not_read_out(**sheet) for sheet in reading["sheets_not_read"]],
        skipped=[_make_skipped_out(places, **skipped) for skipped in reading["skipped"]],
        fill_units=bool(options.get("fill_units")),
    )


def mark_chosen(columns: Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> list[ColumnOut]:
    """Return stored columns, those marked that an admin chose for this file."""
    chosen = {(key, letters) for key, letters, _ in options.get("columns", ())}
    return [
        ColumnOut(**column, chosen=not chosen.isdisjoint({(key, None), (key, column["column"])}))
        for column in columns
        for key in (normalize_heading(column["heading"]),)
    ]


def _make_not_read_out(name: str, reason: str) -> SheetNotReadOut:
    return SheetNotReadOut(name=name, reason=reason, title=gettext(_NOT_READ[reason]))


def _make_skipped_out(places: RowPlaces, cause: SkipCause, count: int, rows: Sequence[int]) -> SkippedRowsOut:
    return SkippedRowsOut(cause=cause, title=gettext(_CAUSES[cause]), count=count, rows=list(map(places.find, rows)))


async def get_remembered_headings(db: AsyncConnection, org_id: UUID) -> dict[str, str | None]:
    """Return what admins of the org chose last for headings of earlier files."""
    rows = await db.execute(_HEADINGS, {"org_id": org_id})
    return {row.heading: row.field for row in rows}
