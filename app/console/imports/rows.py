"""The rows of an import, each with its outcome: the causes first, then the rows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_part
from app.console.imports.decisions import read_decisions
from app.console.imports.states import ImportId, Reader, Writer
from app.core.cipher import CipherDep
from app.database.db import ReadDb
from app.database.paging import MAXIMUM, Page, Paging, paged_by
from app.members.imports.change_texts import describe_value, get_field_title
from app.members.imports.edits.schemas import RowSummaryOut
from app.members.imports.edits.summaries import summarize_rows
from app.members.imports.queries import get_import
from app.members.imports.row_queries import draw_failed_rows, list_rows
from app.members.imports.schemas import ImportRowOut, ImportState, RowOutcome, RowPlaceOut, SkippedRowsOut
from app.members.imports.sheet_contents import describe_places, describe_related_rows
from app.sheets.writer import XLSX
from app.web.downloads import build_download

router = APIRouter(
    prefix="/console/orgs/{org_id}/imports/{import_id}", route_class=ConsoleRoute, include_in_schema=False
)

RowPaging = Annotated[Paging, paged_by(int)]
Outcome = Annotated[RowOutcome | None, Query()]
Cause = Annotated[str | None, Query(pattern="^[a-z0-9-]{1,50}$")]


class MoreImportRows(FrameContext, template="imports/import_more_rows.html"):
    """Rows of the sheet. `is_open`: they can be edited; `list_address`: that of the list; `decisions`: what is chosen
    about undecided rows, by the names of their fields."""

    rows: Page[ImportRowOut]
    import_id: UUID
    is_open: bool
    list_address: str
    decisions: Mapping[str, str] | None = None
    name_rows: Callable[[Sequence[RowPlaceOut]], str] = describe_related_rows
    get_field_title: Callable[[str], str] = get_field_title
    describe_value: Callable[[str | bool | list[str] | None], str] = describe_value


class ImportRows(MoreImportRows, template="imports/import_rows.html"):
    """The first rows, with the choice of the outcome and, for refused rows, of the cause."""

    outcome: RowOutcome | None
    problem_code: str | None
    summary: RowSummaryOut
    skipped_count: int


class SkippedRows(FrameContext, template="imports/import_skipped_rows.html"):
    """The rows that are not about a person."""

    import_id: UUID
    skipped: Sequence[SkippedRowsOut]
    skipped_count: int
    summary: RowSummaryOut
    name_places: Callable[[Sequence[RowPlaceOut]], str] = describe_places


class UndecidedRows(MoreImportRows, template="imports/import_undecided.html"):
    """The rows that wait for a decision. `others` are the decisions about rows that are not shown."""

    others: Mapping[str, str]


@router.get("/rows")
async def show_rows(
    request: Request,
    db: ReadDb,
    cipher: CipherDep,
    scope: Reader,
    import_id: ImportId,
    paging: RowPaging,
    outcome: Outcome = None,
    problem: Cause = None,
) -> Response:
    """Show the rows of the import: all, or those of one outcome or with one problem."""
    found = await get_import(db, scope.org_id, import_id)
    rows = await list_rows(db, cipher, scope.org_id, import_id, outcome, paging, problem=problem)
    if problem is not None and not rows.items and paging.after is None:
        problem = None  # the last row of this cause has been corrected
        rows = await list_rows(db, cipher, scope.org_id, import_id, outcome, paging)
    frame, is_open = build_org_frame(scope, "imports"), found.state == ImportState.READY
    query = "&".join(f"{name}={value}" for name, value in (("outcome", outcome), ("problem", problem)) if value)
    address = f"/console/orgs/{scope.org_id}/imports/{import_id}/rows{'?' if query else ''}{query}"
    if paging.after is not None:
        more = MoreImportRows(frame=frame, rows=rows, import_id=import_id, is_open=is_open, list_address=address)
        return render_part(request, more)
    shown = ImportRows(
        frame=frame,
        rows=rows,
        import_id=import_id,
        is_open=is_open,
        list_address=address,
        outcome=outcome,
        problem_code=problem,
        summary=await summarize_rows(db, scope.org_id, import_id),
        skipped_count=found.rows.skipped,
    )
    return render_part(request, shown)


@router.get("/skipped-rows")
async def show_skipped_rows(request: Request, db: ReadDb, scope: Reader, import_id: ImportId) -> Response:
    """Show the rows that are not about a person, by cause."""
    found = await get_import(db, scope.org_id, import_id)
    shown = SkippedRows(
        frame=build_org_frame(scope, "imports"),
        import_id=import_id,
        skipped=[] if found.reading is None else found.reading.skipped,
        skipped_count=found.rows.skipped,
        summary=await summarize_rows(db, scope.org_id, import_id),
    )
    return render_part(request, shown)


@router.get("/undecided")
async def show_undecided_rows(
    request: Request, db: ReadDb, cipher: CipherDep, scope: Reader, import_id: ImportId, paging: RowPaging
) -> Response:
    """Show the rows that wait for a decision. The query has the decisions that are made already."""
    found = await get_import(db, scope.org_id, import_id)
    paging = Paging(MAXIMUM, paging.after)
    rows = await list_rows(db, cipher, scope.org_id, import_id, RowOutcome.UNDECIDED, paging)
    made = read_decisions(request.query_params)
    decisions = {f"row-{row.id}": made.get(f"row-{row.id}", row.decision or "") for row in rows.items}
    frame, is_open = build_org_frame(scope, "imports"), found.state == ImportState.READY
    address = f"/console/orgs/{scope.org_id}/imports/{import_id}/undecided"
    if paging.after is not None:
        more = MoreImportRows(
            frame=frame, rows=rows, import_id=import_id, is_open=is_open, list_address=address, decisions=decisions
        )
        return render_part(request, more)
    shown = UndecidedRows(
        frame=frame,
        rows=rows,
        import_id=import_id,
        is_open=is_open,
        list_address=address,
        decisions=decisions,
        others={name: value for name, value in made.items() if name not in decisions},
    )
    return render_part(request, shown)


@router.get("/failed-rows.xlsx")
async def read_failed_rows(
    request: Request, scope: Writer, import_id: ImportId, db: ReadDb, cipher: CipherDep
) -> Response:
    """Return the refused rows as a file, to be corrected and uploaded again."""
    return build_download(await draw_failed_rows(db, cipher, scope.org_id, import_id), "failed-rows.xlsx", XLSX)
