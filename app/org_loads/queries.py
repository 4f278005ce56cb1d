"""Reads of loads of orgs and their rows."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Integer, bindparam, case, select

from app.core.cipher import Cipher
from app.core.i18n import gettext, gettext_noop, join_sentences
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.database.rows import fetch_rows, one_or_404
from app.members.imports.errors import HeaderMissing, describe_refusal
from app.members.imports.schemas import CodeOut, RefusalOut, RowPlaceOut
from app.members.imports.sheet_contents import describe_related_rows
from app.org_loads.retention import ROWS_RETENTION
from app.org_loads.row_problems import get_problem_title
from app.org_loads.rows import decrypt_cells
from app.org_loads.schemas import LoadRowOutcome, OrgLoadOut, OrgLoadRowOut
from app.org_loads.sheets import draw_refused_rows
from app.schema.org_loads import OrgLoad, OrgLoadRow

_LOADS = select(
    OrgLoad.id,
    OrgLoad.state,
    OrgLoad.format,
    OrgLoad.file_name,
    OrgLoad.refusal,
    OrgLoad.preview,
    OrgLoad.rows_total,
    OrgLoad.rows_done,
    OrgLoad.to_create,
    OrgLoad.created,
    OrgLoad.present,
    OrgLoad.refused,
    OrgLoad.reversed,
    OrgLoad.created_at,
    OrgLoad.finished_at,
)
_HAS_ORG = OrgLoadRow.outcome.in_((LoadRowOutcome.CREATED, LoadRowOutcome.REVERSED))
_ROWS = select(
    OrgLoadRow.row_no,
    OrgLoadRow.outcome,
    OrgLoadRow.name,
    OrgLoadRow.kind,
    OrgLoadRow.region_code,
    OrgLoadRow.superior,
    OrgLoadRow.superior_row,
    OrgLoadRow.superior_id,
    OrgLoadRow.admin_name,
    OrgLoadRow.problems,
    OrgLoadRow.warnings,
    OrgLoadRow.related_rows,
    case((_HAS_ORG, OrgLoadRow.new_id), else_=OrgLoadRow.present_id).label("org_id"),
).where(OrgLoadRow.load_id == bindparam("load_id"))


class _LoadRecord(NamedTuple):
    id: UUID
    state: str
    format: str
    file_name: str
    refusal: dict[str, Any] | None
    preview: int
    rows_total: int
    rows_done: int
    to_create: int
    created: int
    present: int
    refused: int
    reversed: int
    created_at: datetime
    finished_at: datetime | None


class _SheetRecord(NamedTuple):
    row_no: int
    outcome: str
    name: str | None
    kind: str | None
    region_code: str | None
    superior: str
    superior_row: int | None
    superior_id: UUID | None
    admin_name: str | None
    problems: list[str]
    warnings: list[str]
    related_rows: list[int]
    org_id: UUID | None


class _RefusedRecord(NamedTuple):
    row_no: int
    new_id: UUID
    cells_cipher: bytes
    problems: list[str]
    related_rows: list[int]


_NEWEST_FIRST = PagedStatement(_LOADS, OrgLoad.id.desc(), row=_LoadRecord)
_LOAD = _LOADS.where(OrgLoad.id == bindparam("load_id"))
_ROWS_IN_ORDER = PagedStatement(_ROWS, OrgLoadRow.row_no, row=_SheetRecord)
_ROWS_BY_OUTCOME = PagedStatement(
    _ROWS.where(OrgLoadRow.outcome == bindparam("outcome")), OrgLoadRow.row_no, row=_SheetRecord
)
_REFUSED_ROWS = (
    select(OrgLoadRow.row_no, OrgLoadRow.new_id, OrgLoadRow.cells_cipher, OrgLoadRow.problems, OrgLoadRow.related_rows)
    .where(
        OrgLoadRow.load_id == bindparam("load_id"),
        OrgLoadRow.outcome == LoadRowOutcome.REFUSED,
        OrgLoadRow.row_no > bindparam("last", type_=Integer()),
    )
    .order_by(OrgLoadRow.row_no)
    .limit(1000)
)


_HEADER_ADVICE = gettext_noop("表头须含：组织名称、所在地区代码。建议使用模板。")


async def get_load(db: Readable, load_id: UUID) -> OrgLoadOut:
    """Return one load. Raises NotFound."""
    return _make_load_out(await one_or_404(db, _LOAD, _LoadRecord, {"load_id": load_id}))


async def list_loads(db: Readable, paging: Paging) -> Page[OrgLoadOut]:
    """Return a page of the loads of all operators, the newest first."""
    return Page[OrgLoadOut].from_slice((await _NEWEST_FIRST.fetch(db, paging)).map(_make_load_out))


async def list_rows(db: Readable, load_id: UUID, outcome: LoadRowOutcome | None, paging: Paging) -> Page[OrgLoadRowOut]:
    """Return a page of the rows of a sheet with their outcomes, in the order of the sheet. Raises NotFound."""
    await get_load(db, load_id)
    parameters: dict[str, Any] = {"load_id": load_id}
    if outcome is None:
        found = await _ROWS_IN_ORDER.fetch(db, paging, **parameters)
    else:
        found = await _ROWS_BY_OUTCOME.fetch(db, paging, **parameters, outcome=outcome)
    return Page[OrgLoadRowOut].from_slice(found.map(_make_row_out))


async def draw_failed_rows(db: Readable, cipher: Cipher, load_id: UUID) -> bytes:
    """Return the refused rows as an XLSX that can be corrected and uploaded again. Raises NotFound."""
    await get_load(db, load_id)
    return await draw_refused_rows(_stream_refused_rows(db, cipher, load_id))


async def _stream_refused_rows(db: Readable, cipher: Cipher, load_id: UUID) -> AsyncIterator[list[str | int]]:
    parameters: dict[str, Any] = {"load_id": load_id, "last": 0}
    while rows := await fetch_rows(db, _REFUSED_ROWS, _RefusedRecord, parameters):
        for row in rows:
            yield [*decrypt_cells(cipher, row.new_id, row.cells_cipher), row.row_no, describe_reasons(row)]
        parameters["last"] = rows[-1].row_no


def describe_reasons(row: _RefusedRecord) -> str:
    """Return the reasons why a row is refused, as sentences."""
    reasons = [get_problem_title(code) for code in row.problems]
    if row.related_rows:
        reasons.append(describe_related_rows([RowPlaceOut(sheet=None, row_no=row_no) for row_no in row.related_rows]))
    return join_sentences(reasons)


def _make_row_out(row: _SheetRecord) -> OrgLoadRowOut:
    fields = row._asdict() | {
        "superior": row.superior or None,
        "problems": [CodeOut(code=code, title=get_problem_title(code)) for code in row.problems],
        "warnings": [CodeOut(code=code, title=get_problem_title(code)) for code in row.warnings],
    }
    return OrgLoadRowOut(**fields)


def _make_load_out(row: _LoadRecord) -> OrgLoadOut:
    refusal = None
    if row.refusal is not None:
        title, detail = describe_refusal(row.refusal, "add-and-update")
        if row.refusal["code"] == HeaderMissing.slug:  # its advice names the headings of a sheet of people
            detail = gettext(_HEADER_ADVICE)
        shown = {key: value for key, value in row.refusal.items() if key in RefusalOut.model_fields}
        refusal = RefusalOut(title=title, detail=detail, **shown)
    fields = row._asdict() | {"refusal": refusal, "rows_kept_until": row.created_at + ROWS_RETENTION}
    return OrgLoadOut(**fields)
