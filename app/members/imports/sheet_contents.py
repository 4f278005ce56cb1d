"""What was read of a file: its sheets, its columns, and the rows that were skipped."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.i18n import gettext, gettext_noop
from app.members.imports.schemas import (
    ReadingOut,
    RowPlaceOut,
    SheetNotReadOut,
    SheetReadingOut,
    SkipCause,
    SkippedRowsOut,
)
from app.schema.members import ImportHeading

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
                **{key: sheet[key] for key in ("header_row", "rows", "columns", "unit_from", "unit")},
            )
            for sheet in reading["sheets"]
        ],
        sheets_not_read=[_make_not_read_out(**sheet) for sheet in reading["sheets_not_read"]],
        skipped=[_make_skipped_out(places, **skipped) for skipped in reading["skipped"]],
        fill_units=bool(options.get("fill_units")),
    )


def _make_not_read_out(name: str, reason: str) -> SheetNotReadOut:
    return SheetNotReadOut(name=name, reason=reason, title=gettext(_NOT_READ[reason]))


def _make_skipped_out(places: RowPlaces, cause: SkipCause, count: int, rows: Sequence[int]) -> SkippedRowsOut:
    return SkippedRowsOut(cause=cause, title=gettext(_CAUSES[cause]), count=count, rows=list(map(places.find, rows)))


async def get_remembered_headings(db: AsyncConnection, org_id: UUID) -> dict[str, str | None]:
    """Return what admins of the org chose last for headings of earlier files."""
    rows = await db.execute(_HEADINGS, {"org_id": org_id})
    return {row.heading: row.field for row in rows}
