"""Reads of imports and their rows."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Integer, bindparam, select

from app.core.cipher import Cipher
from app.core.i18n import gettext, join_sentences, join_words, ngettext
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.database.rows import fetch_rows, one_or_404
from app.members.encryption import decrypt_masked_phone, decrypt_phone
from app.members.imports.errors import SHEET_REFUSALS
from app.members.imports.jobs import needs_consent
from app.members.imports.retention import ROWS_RETENTION
from app.members.imports.row_problems import get_problem_title
from app.members.imports.rows import decrypt_cells
from app.members.imports.schemas import (
    CodeOut,
    ImportCountsOut,
    ImportOut,
    ImportRowOut,
    ImportState,
    RefusalOut,
    RowOutcome,
)
from app.members.sheets import NO_PHONE, draw_refused_rows
from app.orgs.unit_queries import list_unit_paths
from app.schema.members import Import, ImportRow

_IMPORTS = select(
    Import.id,
    Import.state,
    Import.mode,
    Import.unknown_units,
    Import.format,
    Import.file_name,
    Import.refusal,
    Import.rows_total,
    Import.rows_done,
    Import.added,
    Import.changed,
    Import.moved,
    Import.leaving,
    Import.unchanged,
    Import.refused,
    Import.people,
    Import.new_units,
    Import.created_at,
    Import.finished_at,
).where(Import.org_id == bindparam("org_id"))

_ROWS = select(
    ImportRow.row_no,
    ImportRow.outcome,
    ImportRow.name,
    ImportRow.new_member_id,
    ImportRow.phone_cipher,
    ImportRow.unit_path,
    ImportRow.party,
    ImportRow.probationary,
    ImportRow.post,
    ImportRow.cells_cipher,
    ImportRow.problems,
    ImportRow.warnings,
    ImportRow.related_rows,
    ImportRow.member_id,
).where(ImportRow.org_id == bindparam("org_id"), ImportRow.import_id == bindparam("import_id"))


class _ImportRecord(NamedTuple):
    id: UUID
    state: str
    mode: str
    unknown_units: str
    format: str
    file_name: str
    refusal: dict[str, Any] | None
    rows_total: int
    rows_done: int
    added: int
    changed: int
    moved: int
    leaving: int
    unchanged: int
    refused: int
    people: int
    new_units: list[str]
    created_at: datetime
    finished_at: datetime | None


class _SheetRecord(NamedTuple):
    """A row of the sheet. `cells_cipher` contains the original cells of a refused row, encrypted."""

    row_no: int
    outcome: str
    name: str | None
    new_member_id: UUID
    phone_cipher: bytes | None
    unit_path: str | None
    party: bool | None
    probationary: bool | None
    post: str | None
    cells_cipher: bytes | None
    problems: list[str]
    warnings: list[str]
    related_rows: list[int]
    member_id: UUID | None


_IMPORTS_NEWEST_FIRST = PagedStatement(_IMPORTS, Import.id.desc(), row=_ImportRecord)
_IMPORT = _IMPORTS.where(Import.id == bindparam("import_id"))
_ROWS_IN_ORDER = PagedStatement(_ROWS, ImportRow.row_no, row=_SheetRecord)
_ROWS_BY_OUTCOME = PagedStatement(
    _ROWS.where(ImportRow.outcome == bindparam("outcome")), ImportRow.row_no, row=_SheetRecord
)
_REFUSED_ROWS = (
    _ROWS.where(ImportRow.outcome == RowOutcome.REFUSED, ImportRow.row_no > bindparam("last", type_=Integer()))
    .order_by(ImportRow.row_no)
    .limit(1000)
)


async def get_import(db: Readable, org_id: UUID, import_id: UUID) -> ImportOut:
    """Return one import of the org. Raises NotFound."""
    parameters = {"org_id": org_id, "import_id": import_id}
    return _make_import_out(await one_or_404(db, _IMPORT, _ImportRecord, parameters))


async def list_imports(db: Readable, org_id: UUID, paging: Paging) -> Page[ImportOut]:
    """Return a page of the org's imports, the newest first."""
    found = await _IMPORTS_NEWEST_FIRST.fetch(db, paging, org_id=org_id)
    return Page[ImportOut].from_slice(found.map(_make_import_out))


async def list_rows(
    db: Readable,
    cipher: Cipher,
    org_id: UUID,
    import_id: UUID,
    outcome: RowOutcome | None,
    paging: Paging,
) -> Page[ImportRowOut]:
    """Return a page of the rows of a sheet with their outcomes, in the order of the sheet."""
    parameters = {"org_id": org_id, "import_id": import_id} | ({} if outcome is None else {"outcome": outcome})
    found = await (_ROWS_IN_ORDER if outcome is None else _ROWS_BY_OUTCOME).fetch(db, paging, **parameters)
    return Page[ImportRowOut].from_slice(found.map(lambda row: _make_row_out(cipher, row)))


async def stream_refused_rows(
    db: Readable, cipher: Cipher, org_id: UUID, import_id: UUID
) -> AsyncIterator[list[str | int]]:
    """Yield the refused rows: the original cells, then the row number and the reasons."""
    parameters = {"org_id": org_id, "import_id": import_id, "last": 0}
    while rows := await fetch_rows(db, _REFUSED_ROWS, _SheetRecord, parameters):
        for row in rows:
            yield [*_get_typed_cells(cipher, row), row.row_no, _describe_reasons(row)]
        parameters["last"] = rows[-1].row_no


async def draw_failed_rows(db: Readable, cipher: Cipher, org_id: UUID, import_id: UUID) -> bytes:
    """Return the refused rows as an XLSX that can be corrected and uploaded again. Raises NotFound."""
    await get_import(db, org_id, import_id)
    units = await list_unit_paths(db, org_id)
    return await draw_refused_rows(units, stream_refused_rows(db, cipher, org_id, import_id))


def _get_typed_cells(cipher: Cipher, row: _SheetRecord) -> list[str]:
    if row.cells_cipher is not None:
        return decrypt_cells(cipher, row.new_member_id, row.cells_cipher)
    assert row.name is not None, "a readable row has a name"
    phone = decrypt_phone(cipher, row.phone_cipher, row.new_member_id)
    party = {True: "是", False: "否", None: ""}[row.party]
    kind = {True: "预备党员", False: "正式党员" if row.party else "", None: ""}[row.probationary]
    return [row.name, NO_PHONE if phone is None else phone, row.unit_path or "", party, kind, row.post or ""]


def _describe_reasons(row: _SheetRecord) -> str:
    reasons = [get_problem_title(code) for code in row.problems]
    if row.related_rows:
        reasons.append(describe_related_rows(row.related_rows))
    return join_sentences(reasons)


def describe_related_rows(rows: Sequence[int]) -> str:
    """Return a sentence that names the related rows of a row."""
    return ngettext("另见第 {rows} 行", len(rows), rows=join_words(map(str, rows)))


def _make_row_out(cipher: Cipher, row: _SheetRecord) -> ImportRowOut:
    phone = decrypt_masked_phone(cipher, row.phone_cipher, row.new_member_id)
    return ImportRowOut(
        row_no=row.row_no,
        outcome=row.outcome,
        name=row.name,
        phone=phone,
        unit=row.unit_path,
        problems=[CodeOut(code=code, title=get_problem_title(code)) for code in row.problems],
        warnings=[CodeOut(code=code, title=get_problem_title(code)) for code in row.warnings],
        related_rows=row.related_rows,
        member_id=row.member_id,
    )


def _make_import_out(row: _ImportRecord) -> ImportOut:
    refusal = None
    if row.refusal is not None:
        kind = SHEET_REFUSALS[row.refusal["code"]]
        refusal = RefusalOut(title=gettext(kind.title), detail=gettext(kind.advice), **row.refusal)
    fields = row._asdict()
    counts = ImportCountsOut(
        left=fields.pop("leaving"),
        **{name: fields.pop(name) for name in ("added", "changed", "moved", "unchanged", "refused")},
    )
    consent_needed = row.state == ImportState.READY and needs_consent(row.leaving, row.people)
    fields["rows_kept_until"] = row.created_at + ROWS_RETENTION
    fields |= {"refusal": refusal, "counts": counts, "leaving_needs_consent": consent_needed}
    return ImportOut(**fields)
