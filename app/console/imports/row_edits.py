"""The dialog in which a row of the preview is corrected and checked again at once."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.authz.access import OrgScope
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import Form, FormContext, Outcome, PageForm, catch_problem, validate_fields
from app.console.frame.notices import show_message
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_part
from app.console.imports.states import PREVIEW_CHANGED, ImportId, Writer
from app.core.cipher import Cipher, CipherDep
from app.core.i18n import gettext
from app.database.db import Readable, ReadDb, WriteDb
from app.members.imports.edits.operations import edit_row
from app.members.imports.edits.schemas import ImportRowUpdate
from app.members.imports.row_queries import get_row, get_shown_cells
from app.members.imports.schemas import ImportRowOut, RowOutcome, RowPlaceOut
from app.members.imports.sheet_contents import describe_places
from app.orgs.unit_queries import list_unit_paths
from app.web.errors import Problem

router = APIRouter(
    prefix="/console/orgs/{org_id}/imports/{import_id}/rows/{row_id}/edit",
    route_class=ConsoleRoute,
    include_in_schema=False,
)

RowId = Annotated[int, Path(ge=1, le=2**31 - 1)]
_CELLS = ("name", "phone", "unit")
_MAX_LISTED_UNITS = 500


class RowDialog(FrameContext, FormContext, template="imports/import_row.html"):
    """The row as it is now. `cells` are its texts, which the form sends back as what was seen."""

    row: ImportRowOut
    row_words: str
    cells: dict[str, str]
    unit_paths: list[str]


@router.get("")
async def show_row(
    request: Request, db: ReadDb, cipher: CipherDep, scope: Writer, import_id: ImportId, row_id: RowId
) -> Response:
    """Show the row with its problems, to be corrected."""
    return await _show_row(request, db, cipher, scope, import_id, row_id, Form([]), None)


@router.post("")
async def submit_row(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, import_id: ImportId, row_id: RowId, form: PageForm
) -> Response:
    """Store the values that the clerk has changed, and check the import again. If the row is still refused, the dialog
    says why."""
    body = _read_changes(form)
    if isinstance(body, ValidationError):
        return await _show_row(request, db, cipher, scope, import_id, row_id, form, body)
    outcome = await catch_problem(db, edit_row(db, cipher, scope, import_id, row_id, body))
    if isinstance(outcome, Problem):
        return await _show_row(request, db, cipher, scope, import_id, row_id, Form([]), outcome)
    row = await get_row(db, cipher, scope.org_id, import_id, row_id)
    if row.outcome != RowOutcome.REFUSED:
        message = gettext("已修改第 {row} 行，该行可以导入", row=row.row_no)
        if row.outcome == RowOutcome.UNDECIDED:
            message = gettext("已修改第 {row} 行，请在“待确认”中选择", row=row.row_no)
        return show_message(request, message, PREVIEW_CHANGED)
    response = await _show_row(request, db, cipher, scope, import_id, row_id, Form([]), {"row"})
    response.headers["HX-Trigger"] = PREVIEW_CHANGED
    return response


def _read_changes(form: Form) -> ImportRowUpdate | ValidationError:
    """Return the values that differ from those that the form showed. A phone that is masked in the form is thus sent
    only if the clerk typed another one."""
    seen = {name: form[f"seen_{name}"] for name in _CELLS if f"seen_{name}" in form}
    changed = {name: form[name] for name in _CELLS if name in form and form[name].strip() != seen.get(name)}
    return validate_fields(ImportRowUpdate, {**changed, "seen": seen})


async def _show_row(
    request: Request,
    db: Readable,
    cipher: Cipher,
    scope: OrgScope,
    import_id: UUID,
    row_id: int,
    form: Form,
    outcome: Outcome,
) -> Response:
    row = await get_row(db, cipher, scope.org_id, import_id, row_id)
    shown = RowDialog(
        frame=build_org_frame(scope, "imports"),
        form=form,
        outcome=outcome,
        row=row,
        row_words=describe_places([RowPlaceOut(sheet=row.sheet, row_no=row.row_no)]),
        cells=get_shown_cells(row),
        unit_paths=(await list_unit_paths(db, scope.org_id))[:_MAX_LISTED_UNITS],
    )
    return render_part(request, shown)
