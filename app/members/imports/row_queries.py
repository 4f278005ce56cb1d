"""Reads of the rows of an import."""

from collections.abc import AsyncIterator
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Integer, and_, bindparam, exists, func, select

from app.core.cipher import Cipher
from app.core.i18n import join_sentences
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.database.rows import fetch_rows, one_or_404
from app.members.encryption import decrypt_masked_phone, decrypt_phone
from app.members.imports.change_texts import make_changes
from app.members.imports.queries import get_import
from app.members.imports.row_problems import get_problem_title
from app.members.imports.rows import decrypt_cells
from app.members.imports.schemas import (
    CodeOut,
    ImportRowOut,
    RowOutcome,
    TypedCellsOut,
)
from app.members.imports.sheet_contents import (
    RowPlaces,
    describe_places,
    describe_related_rows,
    get_places,
)
from app.members.imports.values.phones import mask_typed_phone
from app.members.sheets import NO_PHONE, draw_refused_rows
from app.orgs.unit_queries import list_unit_paths
from app.schema.imports import ImportChange, ImportRow

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


_ROW = _ROWS.where(ImportRow.row_no == bindparam("row_no"))
_REFUSED_ROWS = (
    _ROWS.where(ImportRow.outcome == RowOutcome.REFUSED, ImportRow.row_no > bindparam("last", type_=Integer()))
    .order_by(ImportRow.row_no)
    .limit(1000)
)


@cache
def _build_rows(*, by_outcome: bool, by_problem: bool) -> PagedStatement[SheetRecord]:
    statement = _ROWS
    if by_outcome:
        statement = statement.where(ImportRow.outcome == bindparam("outcome"))
    if by_problem:
        problem = func.unnest(ImportRow.problems).column_valued("problem")
        statement = statement.where(exists().where(func.split_part(problem, ":", 1) == bindparam("problem")))
    return PagedStatement(statement, ImportRow.row_no, row=SheetRecord)


async def list_rows(
    db: Readable,
    cipher: Cipher,
    org_id: UUID,
    import_id: UUID,
    outcome: RowOutcome | None,
    paging: Paging,
    *,
    problem: str | None = None,
) -> Page[ImportRowOut]:
    """Return a page of the rows of a sheet with their outcomes, in the order of the sheet: all rows, or those with an
    outcome, with the code of a problem, or with both."""
    parameters: dict[str, object] = {"org_id": org_id, "import_id": import_id}
    parameters |= {} if outcome is None else {"outcome": outcome}
    parameters |= {} if problem is None else {"problem": problem}
    places = await get_places(db, org_id, import_id)
    rows = _build_rows(by_outcome=outcome is not None, by_problem=problem is not None)
    found = await rows.fetch(db, paging, **parameters)
    return Page[ImportRowOut].from_slice(found.map(lambda row: _make_row_out(cipher, places, row)))


async def get_row(db: Readable, cipher: Cipher, org_id: UUID, import_id: UUID, row_no: int) -> ImportRowOut:
    """Return one row of the import. Raises NotFound."""
    row = await get_record(db, org_id, import_id, row_no)
    return _make_row_out(cipher, await get_places(db, org_id, import_id), row)


async def get_record(db: Readable, org_id: UUID, import_id: UUID, row_no: int) -> SheetRecord:
    """Return one row of the import as it is stored. Raises NotFound."""
    return await one_or_404(db, _ROW, SheetRecord, {"org_id": org_id, "import_id": import_id, "row_no": row_no})


def get_shown_cells(row: ImportRowOut) -> dict[str, str]:
    """Return the name, phone and unit of a row as people see them: whole phones are masked."""
    return {name: getattr(row.typed or row, name) or "" for name in ("name", "phone", "unit")}


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
            shown = place.row_no if place.sheet is None else describe_places([place])
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
