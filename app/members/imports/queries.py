"""Reads of imports and their rows."""

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.cipher import Cipher
from app.core.errors import NotFound
from app.core.paging import Page, Paging
from app.core.phones import mask
from app.members.imports.errors import SHEET_REFUSALS
from app.members.imports.jobs import needs_consent
from app.members.imports.retention import KEPT
from app.members.imports.row_problems import PROBLEMS, WARNINGS
from app.members.imports.rows import open_cells
from app.members.imports.schemas import (
    CodeOut,
    ImportCountsOut,
    ImportOut,
    ImportRowOut,
    ImportState,
    RefusalOut,
    RowOutcome,
)
from app.schema.members import Import, ImportRow

_IMPORT = select(
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
)

_ROW = select(
    ImportRow.row_no,
    ImportRow.outcome,
    ImportRow.name,
    ImportRow.new_member_id,
    ImportRow.phone_cipher,
    ImportRow.unit_path,
    ImportRow.party,
    ImportRow.cells_cipher,
    ImportRow.problems,
    ImportRow.warnings,
    ImportRow.related_rows,
    ImportRow.member_id,
)


async def get_import(db: AsyncConnection, org_id: UUID, import_id: UUID, *, english: bool) -> ImportOut:
    """One import of the org; NotFound where it is not."""
    row = (await db.execute(_IMPORT.where(Import.org_id == org_id, Import.id == import_id))).one_or_none()
    if row is None:
        raise NotFound
    return _import_out(row, english)


async def list_imports(db: AsyncConnection, org_id: UUID, paging: Paging, *, english: bool) -> Page[ImportOut]:
    """A page of the org's imports, newest first."""
    statement = _IMPORT.where(Import.org_id == org_id).order_by(Import.id.desc()).limit(paging.limit + 1)
    if paging.after is not None:
        statement = statement.where(Import.id < paging.after[0])
    rows = (await db.execute(statement)).all()
    page = Page[Any].of(rows, paging, lambda row: (row.id,), object)
    items = [_import_out(row, english) for row in page.items]
    return Page[ImportOut](items=items, next_cursor=page.next_cursor)


async def list_rows(
    db: AsyncConnection,
    cipher: Cipher,
    org_id: UUID,
    import_id: UUID,
    outcome: RowOutcome | None,
    paging: Paging,
    *,
    english: bool,
) -> Page[ImportRowOut]:
    """A page of what becomes of the rows of a sheet, in its order."""
    statement = _ROW.where(ImportRow.org_id == org_id, ImportRow.import_id == import_id)
    if outcome is not None:
        statement = statement.where(ImportRow.outcome == outcome)
    if paging.after is not None:
        statement = statement.where(ImportRow.row_no > literal(paging.after[0], BigInteger))  # a cursor holds any
    rows = (await db.execute(statement.order_by(ImportRow.row_no).limit(paging.limit + 1))).all()
    page = Page[Any].of(rows, paging, lambda row: (row.row_no,), object)
    items = [_row_out(cipher, row, english) for row in page.items]
    return Page[ImportRowOut](items=items, next_cursor=page.next_cursor)


async def stream_refused_rows(
    db: AsyncConnection, cipher: Cipher, org_id: UUID, import_id: UUID, *, english: bool
) -> AsyncIterator[list[str | int]]:
    """The refused rows as they were typed, each with its number and the reasons: name, phone, unit, party, …"""
    statement = _ROW.where(
        ImportRow.org_id == org_id, ImportRow.import_id == import_id, ImportRow.outcome == RowOutcome.REFUSED
    ).order_by(ImportRow.row_no)
    last = 0
    while rows := (await db.execute(statement.where(ImportRow.row_no > last).limit(1000))).all():
        for row in rows:
            yield [*_typed(cipher, row), row.row_no, _reasons(row, english)]
        last = rows[-1].row_no


def _typed(cipher: Cipher, row: Any) -> list[str]:
    if row.cells_cipher is not None:
        return open_cells(cipher, row.new_member_id, row.cells_cipher)
    party = {True: "是", False: "否", None: ""}[row.party]
    return [row.name, cipher.decrypt_text(row.phone_cipher, row.new_member_id), row.unit_path, party]


def _reasons(row: Any, english: bool) -> str:
    reasons = [title for _, title in _titles(row.problems, PROBLEMS, english)]
    if row.related_rows:
        others = ", ".join(map(str, row.related_rows)) if english else "、".join(map(str, row.related_rows))
        reasons.append(f"see row {others}" if english else f"另见第 {others} 行")
    return ("; " if english else ";").join(reasons)


def _row_out(cipher: Cipher, row: Any, english: bool) -> ImportRowOut:
    phone = None if row.phone_cipher is None else mask(cipher.decrypt_text(row.phone_cipher, row.new_member_id))
    return ImportRowOut(
        row_no=row.row_no,
        outcome=row.outcome,
        name=row.name,
        phone=phone,
        unit=row.unit_path,
        problems=[CodeOut(code=code, title=title) for code, title in _titles(row.problems, PROBLEMS, english)],
        warnings=[CodeOut(code=code, title=title) for code, title in _titles(row.warnings, WARNINGS, english)],
        related_rows=row.related_rows,
        member_id=row.member_id,
    )


def _titles(codes: Sequence[str], table: dict[str, tuple[str, str]], english: bool) -> list[tuple[str, str]]:
    return [(code, table[code][english]) for code in codes]


def _import_out(row: Any, english: bool) -> ImportOut:
    refusal = None
    if row.refusal is not None:
        kind = SHEET_REFUSALS[row.refusal["code"]]
        title, detail = (kind.en, kind.advice_en) if english else (kind.zh, kind.advice_zh)
        refusal = RefusalOut(title=title, detail=detail, **row.refusal)
    fields = dict(row._mapping)
    counts = ImportCountsOut(
        left=fields.pop("leaving"),
        **{name: fields.pop(name) for name in ("added", "changed", "moved", "unchanged", "refused")},
    )
    asks = row.state == ImportState.READY and needs_consent(row.leaving, row.people)
    fields["rows_kept_until"] = row.created_at + KEPT
    fields |= {"refusal": refusal, "counts": counts, "leaving_needs_consent": asks}
    return ImportOut(**fields)
