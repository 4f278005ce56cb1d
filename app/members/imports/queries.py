"""Reads of imports and their rows."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Integer, and_, bindparam, select

from app.core.cipher import Cipher
from app.core.i18n import gettext, join_sentences, join_words, ngettext
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.database.rows import fetch_rows, one_or_404
from app.members.encryption import decrypt_masked_phone, decrypt_phone
from app.members.imports.change_texts import make_changes
from app.members.imports.errors import describe_refusal
from app.members.imports.previews import needs_consent
from app.members.imports.retention import REVERSIBLE, ROWS_RETENTION
from app.members.imports.row_problems import get_problem_title
from app.members.imports.rows import decrypt_cells
from app.members.imports.schemas import (
    CodeOut,
    ImportCountsOut,
    ImportOut,
    ImportRowCountsOut,
    ImportRowOut,
    ImportState,
    RefusalOut,
    RowOutcome,
    RowPlaceOut,
    TypedCellsOut,
)
from app.members.imports.sheet_contents import RowPlaces, count_skipped, make_reading_out
from app.members.imports.values.phones import mask_typed_phone
from app.members.sheets import NO_PHONE, draw_refused_rows
from app.orgs.unit_queries import list_unit_paths
from app.schema.auth import User
from app.schema.members import Import, ImportChange, ImportRow

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
    )
    .join(User, User.id == Import.created_by)
    .where(Import.org_id == bindparam("org_id"))
)

# Each row with what becomes of the existing person.
_ROWS = (
    select(
        ImportRow.row_no,
        ImportRow.outcome,
        ImportRow.name,
        ImportRow.new_member_id,
        ImportRow.phone_cipher,
        ImportRow.masked_phone,
        ImportRow.known_id,
        ImportRow.unit_path,
        ImportRow.party,
        ImportRow.probationary,
        ImportRow.post,
        ImportRow.cells_cipher,
        ImportRow.problems,
        ImportRow.warnings,
        ImportRow.related_rows,
        ImportRow.member_id,
        ImportRow.decision,
        ImportChange.before,
        ImportChange.after,
        ImportChange.new_phone,
        ImportChange.phone_cipher.label("old_phone_cipher"),
    )
    .outerjoin(
        ImportChange,
        and_(
            ImportChange.org_id == ImportRow.org_id,
            ImportChange.import_id == ImportRow.import_id,
            ImportChange.member_id == ImportRow.member_id,
        ),
    )
    .where(ImportRow.org_id == bindparam("org_id"), ImportRow.import_id == bindparam("import_id"))
)


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


class SheetRecord(NamedTuple):
    """A row of the sheet. `cells_cipher` contains the original cells of a refused row, encrypted."""

    row_no: int
    outcome: str
    name: str | None
    new_member_id: UUID
    phone_cipher: bytes | None
    masked_phone: str | None
    known_id: UUID | None
    unit_path: str | None
    party: bool | None
    probationary: bool | None
    post: str | None
    cells_cipher: bytes | None
    problems: list[str]
    warnings: list[str]
    related_rows: list[int]
    member_id: UUID | None
    decision: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    new_phone: bool | None
    old_phone_cipher: bytes | None


_IMPORTS_NEWEST_FIRST = PagedStatement(_IMPORTS, Import.id.desc(), row=_ImportRecord)
_IMPORT = _IMPORTS.where(Import.id == bindparam("import_id"))
_READING = select(Import.reading).where(Import.org_id == bindparam("org_id"), Import.id == bindparam("import_id"))
_ROWS_IN_ORDER = PagedStatement(_ROWS, ImportRow.row_no, row=SheetRecord)
_ROWS_BY_OUTCOME = PagedStatement(
    _ROWS.where(ImportRow.outcome == bindparam("outcome")), ImportRow.row_no, row=SheetRecord
)
_ROW = _ROWS.where(ImportRow.row_no == bindparam("row_no"))
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
    places = await get_places(db, org_id, import_id)
    found = await (_ROWS_IN_ORDER if outcome is None else _ROWS_BY_OUTCOME).fetch(db, paging, **parameters)
    return Page[ImportRowOut].from_slice(found.map(lambda row: _make_row_out(cipher, places, row)))


async def get_row(db: Readable, cipher: Cipher, org_id: UUID, import_id: UUID, row_no: int) -> ImportRowOut:
    """Return one row of the import. Raises NotFound."""
    row = await get_record(db, org_id, import_id, row_no)
    return _make_row_out(cipher, await get_places(db, org_id, import_id), row)


async def get_record(db: Readable, org_id: UUID, import_id: UUID, row_no: int) -> SheetRecord:
    """Return one row of the import as it is stored. Raises NotFound."""
    return await one_or_404(db, _ROW, SheetRecord, {"org_id": org_id, "import_id": import_id, "row_no": row_no})


async def get_places(db: Readable, org_id: UUID, import_id: UUID) -> RowPlaces:
    """Return where the rows of the import are in its file."""
    return RowPlaces(await db.scalar(_READING, {"org_id": org_id, "import_id": import_id}))


async def stream_refused_rows(
    db: Readable, cipher: Cipher, org_id: UUID, import_id: UUID
) -> AsyncIterator[list[str | int]]:
    """Yield the refused rows: the original cells, then the row number and the reasons."""
    parameters = {"org_id": org_id, "import_id": import_id, "last": 0}
    places = await get_places(db, org_id, import_id)
    while rows := await fetch_rows(db, _REFUSED_ROWS, SheetRecord, parameters):
        for row in rows:
            *cells, number = get_typed_cells(cipher, row)
            place = places.find(row.row_no)
            shown = place.row_no if place.sheet is None else _describe_place(place)
            yield [*cells, shown, _describe_reasons(places, row), number]
        parameters["last"] = rows[-1].row_no


async def draw_failed_rows(db: Readable, cipher: Cipher, org_id: UUID, import_id: UUID) -> bytes:
    """Return the refused rows as an XLSX that can be corrected and uploaded again. Raises NotFound."""
    await get_import(db, org_id, import_id)
    units = await list_unit_paths(db, org_id)
    return await draw_refused_rows(units, stream_refused_rows(db, cipher, org_id, import_id))


def get_typed_cells(cipher: Cipher, row: SheetRecord) -> list[str]:
    """Return the cells of a row: name, phone, unit, party, kind of party member, post, number."""
    if row.cells_cipher is not None:
        return decrypt_cells(cipher, row.new_member_id, row.cells_cipher)
    assert row.name is not None, "a readable row has a name"
    phone = decrypt_phone(cipher, row.phone_cipher, row.new_member_id)
    party = {True: "是", False: "否", None: ""}[row.party]
    kind = {True: "预备党员", False: "正式党员" if row.party else "", None: ""}[row.probationary]
    phone = phone or row.masked_phone or NO_PHONE
    number = "" if row.known_id is None else str(row.known_id)
    return [row.name, phone, row.unit_path or "", party, kind, row.post or "", number]


def _describe_reasons(places: RowPlaces, row: SheetRecord) -> str:
    reasons = [get_problem_title(code) for code in row.problems]
    if row.related_rows:
        reasons.append(describe_related_rows(list(map(places.find, row.related_rows))))
    return join_sentences(reasons)


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


def _make_row_out(cipher: Cipher, places: RowPlaces, row: SheetRecord) -> ImportRowOut:
    phone = decrypt_masked_phone(cipher, row.phone_cipher, row.new_member_id)
    place = places.find(row.row_no)
    typed = None
    if row.cells_cipher is not None:
        *cells, _ = decrypt_cells(cipher, row.new_member_id, row.cells_cipher)
        typed = TypedCellsOut(**dict(zip(TypedCellsOut.model_fields, map(mask_typed_phone, cells), strict=True)))
        typed.phone = phone or typed.phone
    phones = None
    if row.new_phone and row.member_id is not None:
        phones = (decrypt_masked_phone(cipher, row.old_phone_cipher, row.member_id), phone)
    return ImportRowOut(
        id=row.row_no,
        sheet=place.sheet,
        row_no=place.row_no,
        outcome=row.outcome,
        name=row.name,
        phone=phone or row.masked_phone,
        unit=row.unit_path,
        typed=typed,
        problems=[_make_code_out(problem) for problem in row.problems],
        warnings=[_make_code_out(warning) for warning in row.warnings],
        related_rows=list(map(places.find, row.related_rows)),
        member_id=row.member_id,
        changes=make_changes(row.before or {}, row.after or {}, phones),
        decision=row.decision,
    )


def _make_code_out(problem: str) -> CodeOut:
    return CodeOut(code=problem.partition(":")[0], title=get_problem_title(problem))


def _find_end_of_reversibility(row: _ImportRecord) -> datetime | None:
    if row.state != ImportState.DONE or row.finished_at is None or row.reversed_at is not None:
        return None
    end = row.finished_at + REVERSIBLE
    return end if end > datetime.now(UTC) else None


def _make_import_out(row: _ImportRecord) -> ImportOut:
    refusal = None
    if row.refusal is not None:
        title, detail = describe_refusal(row.refusal, row.mode)
        shown = {key: value for key, value in row.refusal.items() if key in RefusalOut.model_fields}
        refusal = RefusalOut(title=title, detail=detail, **shown)
    fields = row._asdict()
    options = fields.pop("reading_options")
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
