"""Reads of imports."""

from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.orm import aliased

from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.database.rows import one_or_404
from app.members.imports.errors import describe_refusal
from app.members.imports.previews import needs_consent
from app.members.imports.retention import REVERSIBLE, ROWS_RETENTION
from app.members.imports.schemas import (
    ImportCountsOut,
    ImportOut,
    ImportRowCountsOut,
    ImportState,
    RefusalOut,
)
from app.members.imports.sheet_contents import (
    count_skipped,
    make_reading_out,
    mark_chosen,
)
from app.schema.auth import User
from app.schema.imports import Import

_Reverser = aliased(User)
_IMPORTS = (
    select(
        Import.id,
        Import.state,
        Import.mode,
        Import.unit_id,
        Import.units,
        Import.unknown_units,
        Import.preview,
        User.verified_name.label("created_by"),
        Import.format,
        Import.file_name,
        Import.refusal,
        Import.reading,
        Import.reading_options,
        Import.rows_total,
        Import.rows_done,
        Import.added,
        Import.changed,
        Import.moved,
        Import.leaving,
        Import.unchanged,
        Import.refused,
        Import.undecided,
        Import.unidentified,
        Import.people,
        Import.new_units,
        Import.created_at,
        Import.finished_at,
        Import.reversed_at,
        _Reverser.verified_name.label("reversed_by"),
    )
    .join(User, User.id == Import.created_by)
    .outerjoin(_Reverser, _Reverser.id == Import.reversed_by)
    .where(Import.org_id == bindparam("org_id"))
)


# Each row with what becomes of the existing person.
class _ImportRecord(NamedTuple):
    id: UUID
    state: str
    mode: str
    unit_id: UUID | None
    units: str
    unknown_units: str
    preview: int
    created_by: str | None
    format: str
    file_name: str
    refusal: dict[str, Any] | None
    reading: dict[str, Any] | None
    reading_options: dict[str, Any]
    rows_total: int
    rows_done: int
    added: int
    changed: int
    moved: int
    leaving: int
    unchanged: int
    refused: int
    undecided: int
    unidentified: int
    people: int
    new_units: list[str]
    created_at: datetime
    finished_at: datetime | None
    reversed_at: datetime | None
    reversed_by: str | None


_IMPORTS_NEWEST_FIRST = PagedStatement(_IMPORTS, Import.id.desc(), row=_ImportRecord)
_IMPORT = _IMPORTS.where(Import.id == bindparam("import_id"))


async def get_import(db: Readable, org_id: UUID, import_id: UUID) -> ImportOut:
    """Return one import of the org. Raises NotFound."""
    parameters = {"org_id": org_id, "import_id": import_id}
    return _make_import_out(await one_or_404(db, _IMPORT, _ImportRecord, parameters))


async def list_imports(db: Readable, org_id: UUID, paging: Paging) -> Page[ImportOut]:
    """Return a page of the org's imports, the newest first."""
    found = await _IMPORTS_NEWEST_FIRST.fetch(db, paging, org_id=org_id)
    return Page[ImportOut].from_slice(found.map(_make_import_out))


def _find_end_of_reversibility(row: _ImportRecord) -> datetime | None:
    if row.state != ImportState.DONE or row.finished_at is None or row.reversed_at is not None:
        return None
    end = row.finished_at + REVERSIBLE
    return end if end > datetime.now(UTC) else None


def _make_import_out(row: _ImportRecord) -> ImportOut:
    fields = row._asdict()
    options = fields.pop("reading_options")
    refusal = None
    if row.refusal is not None:
        title, detail = describe_refusal(row.refusal, row.mode)
        shown = {key: value for key, value in row.refusal.items() if key in RefusalOut.model_fields}
        if "headings" in shown:
            shown["headings"] = mark_chosen(shown["headings"], options)
        refusal = RefusalOut(title=title, detail=detail, **shown)
    reading = None if row.reading is None else make_reading_out(row.reading, options)
    skipped = count_skipped(row.reading)
    rows = ImportRowCountsOut(
        total=row.rows_total + skipped,
        accepted=row.rows_total - row.refused - row.undecided,
        undecided=row.undecided,
        skipped=skipped,
        refused=row.refused,
    )
    counts = ImportCountsOut(
        left=fields.pop("leaving"),
        **{name: fields.pop(name) for name in ("added", "changed", "moved", "unchanged", "undecided", "refused")},
    )
    unidentified = fields.pop("unidentified")
    consent_needed = row.state == ImportState.READY and needs_consent(row.leaving, row.people, unidentified)
    fields["reversible_until"] = _find_end_of_reversibility(row)
    fields["rows_kept_until"] = row.created_at + ROWS_RETENTION
    fields |= {
        "refusal": refusal,
        "reading": reading,
        "rows": rows,
        "counts": counts,
        "leaving_needs_consent": consent_needed,
    }
    return ImportOut(**fields)
