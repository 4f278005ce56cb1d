"""The import wizard (批量导入, S9): template, upload, preview that changes nothing, confirmation, progress, result."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData

from app.authz.access import OrgScope
from app.console.directory.pickers import UnitPicker, load_picker
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import catch_problem
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import ProblemContext, render_page
from app.console.imports.states import ImportId, Reader, Writer, show_state
from app.core.cipher import Cipher, CipherDep
from app.core.services import SETTINGS
from app.database.db import Readable, ReadDb, WriteDb
from app.members.imports.operations import cancel_import, create_import
from app.members.imports.schemas import ImportMode
from app.members.imports.upload_form import MAX_UPLOAD_BYTES, make_upload, read_upload_parts
from app.members.imports.uploads import Upload
from app.members.sheets import draw_template
from app.orgs.unit_queries import list_unit_paths
from app.sheets.writer import XLSX
from app.web.downloads import build_download
from app.web.errors import BodyTooLarge, Problem

router = APIRouter(prefix="/console/orgs/{org_id}/imports", route_class=ConsoleRoute, include_in_schema=False)


class ImportsPage(FrameContext, ProblemContext, template="imports/imports.html"):
    """The form for a new import. `most`: the largest file in MB; `form`: the choices made before a refusal."""

    most: int
    form: Mapping[str, Any]
    picker: UnitPicker

    @property
    def has_units(self) -> bool:
        return bool(self.picker.units or self.picker.chosen_units)

    @property
    def lacks_unit(self) -> bool:
        """Return whether the form was refused because no unit was chosen."""
        errors = [] if self.problem is None else self.problem.extra.get("errors", [])
        return any(error["pointer"] == "/unit_id" for error in errors)


@router.get("")
async def show_imports(request: Request, db: ReadDb, scope: Writer) -> Response:
    """Show the form for a new import."""
    return await _show_upload(request, db, scope, None, {})


@router.get("/template")
async def read_template(scope: Reader, db: ReadDb) -> Response:
    """Return the template of an import sheet, with the org's units as choices."""
    return build_download(await draw_template(await list_unit_paths(db, scope.org_id)), "members-template.xlsx", XLSX)


@router.post("", max_body_size=MAX_UPLOAD_BYTES)
async def upload_sheet(request: Request, scope: Writer, db: WriteDb, cipher: CipherDep) -> Response:
    """Store the uploaded sheet and enqueue the job that checks it."""
    outcome = await catch_problem(db, _create_import(request, db, cipher, scope))
    if isinstance(outcome, Problem):
        # The form shows the same choices again. A page cannot choose the file again.
        given = {} if isinstance(outcome, BodyTooLarge) else await request.form()
        return await _show_upload(request, db, scope, outcome, given)
    return Response(status_code=204, headers={"HX-Redirect": f"/console/orgs/{scope.org_id}/imports/{outcome}"})


@router.get("/{import_id}")
async def show_import(request: Request, db: ReadDb, scope: Reader, import_id: ImportId) -> Response:
    """Show the state of the import: check, preview, merge or result."""
    return await show_state(request, db, scope, import_id)


@router.post("/{import_id}/cancellation")
async def confirm_cancellation(request: Request, db: WriteDb, scope: Writer, import_id: ImportId) -> Response:
    """Cancel the import. A running merge is rolled back as a whole."""
    outcome = await catch_problem(db, cancel_import(db, scope, import_id))
    return await show_state(request, db, scope, import_id, outcome)


async def _create_import(request: Request, db: WriteDb, cipher: Cipher, scope: OrgScope) -> UUID:
    return await create_import(db, cipher, scope, await _read_upload(request))


async def _read_upload(request: Request) -> Upload:
    """Return the sheet and the options of the page's form. Raises the refusals of `read_upload_form`.

    The form sends the unit that was chosen with every mode, and the field that searches units.
    """
    form = await read_upload_parts(request)
    ignored = {"wanted"} if form.get("mode") == ImportMode.REPLACE_UNIT else {"wanted", "unit_id"}
    return make_upload(FormData([(name, value) for name, value in form.multi_items() if name not in ignored]))


async def _show_upload(
    request: Request, db: Readable, scope: OrgScope, problem: Problem | None, form: Mapping[str, Any]
) -> Response:
    chosen = [form["unit_id"]] if form.get("unit_id") else []
    picker = await load_picker(db, scope.org_id, chosen, kind="radio")
    most = SETTINGS.get(request).max_upload_mb
    frame = build_org_frame(scope, "imports")
    page = ImportsPage(frame=frame, problem=problem, most=most, form=form, picker=picker)
    return render_page(request, page)
