"""The units that a sheet names and the org does not have, and what the clerk chooses to do with them."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError

from app.console.directory.pickers import UnitPicker, load_picker
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import Form, PageForm, catch_problem, validate_fields
from app.console.frame.notices import show_message
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import ProblemContext, render_part
from app.console.imports.states import FIRST_UNITS, PREVIEW_CHANGED, ImportId, Reader, Writer
from app.core.cipher import CipherDep
from app.core.i18n import gettext
from app.database.db import ReadDb, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.imports.edits.operations import choose_units
from app.members.imports.edits.schemas import UnitChoicesUpdate, UnknownUnitOut
from app.members.imports.edits.unit_queries import list_unknown_units
from app.members.imports.queries import get_import
from app.members.imports.schemas import ImportOut
from app.web.errors import Invalid, Problem

router = APIRouter(
    prefix="/console/orgs/{org_id}/imports/{import_id}/units", route_class=ConsoleRoute, include_in_schema=False
)


class MoreUnknownUnits(FrameContext, template="imports/import_more_units.html"):
    unknown_units: Page[UnknownUnitOut]
    viewed_import: ImportOut


class ExistingUnitDialog(ProblemContext, template="imports/import_existing_unit.html"):
    """The choice of the existing unit that a name of the sheet means."""

    unknown_path: str
    picker: UnitPicker


class UnknownUnits(MoreUnknownUnits, ProblemContext, template="imports/import_units.html"):
    """The first units, with the form."""


@router.get("")
async def show_units(
    request: Request,
    db: ReadDb,
    scope: Reader,
    import_id: ImportId,
    paging: Annotated[Paging, paged_by(int, str)],
) -> Response:
    """Show the units that the org does not have, each with the most similar unit."""
    found = await get_import(db, scope.org_id, import_id)
    units = await list_unknown_units(db, scope.org_id, import_id, paging)
    part = UnknownUnits if paging.after is None else MoreUnknownUnits
    return render_part(request, part(frame=build_org_frame(scope, "imports"), unknown_units=units, viewed_import=found))


@router.post("")
async def submit_units(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, import_id: ImportId, form: PageForm
) -> Response:
    """Choose for the units whose choice was changed, or for all, and check the import again."""
    body = _read_choices(form)
    outcome: Problem | None = Invalid()
    if not isinstance(body, ValidationError):
        outcome = await catch_problem(db, choose_units(db, cipher, scope, import_id, body))
    if outcome is None:
        return show_message(request, gettext("已重新检查"), PREVIEW_CHANGED)
    shown = UnknownUnits(
        frame=build_org_frame(scope, "imports"),
        unknown_units=await list_unknown_units(db, scope.org_id, import_id, FIRST_UNITS),
        viewed_import=await get_import(db, scope.org_id, import_id),
        problem=outcome,
    )
    return render_part(request, shown)


@router.get("/existing")
async def show_existing_units(
    request: Request, db: ReadDb, scope: Writer, import_id: ImportId, path: Annotated[str, Query(max_length=1000)]
) -> Response:
    """Show the units of the org, one of which a name of the sheet means."""
    await get_import(db, scope.org_id, import_id)
    picker = await load_picker(db, scope.org_id, [], kind="radio")
    return render_part(request, ExistingUnitDialog(unknown_path=path, picker=picker))


@router.post("/existing")
async def submit_existing_unit(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, import_id: ImportId, form: PageForm
) -> Response:
    """Use the chosen unit for a name of the sheet, and check the import again."""
    path, unit_id = form.get("path", ""), form.get("unit_id", "")
    body = validate_fields(UnitChoicesUpdate, {"items": [{"path": path, "choice": "use", "unit_id": unit_id}]})
    outcome: Problem | None = Invalid()
    if not isinstance(body, ValidationError):
        outcome = await catch_problem(db, choose_units(db, cipher, scope, import_id, body))
    if outcome is None:
        return show_message(request, gettext("已重新检查"), PREVIEW_CHANGED)
    picker = await load_picker(db, scope.org_id, [unit_id], kind="radio")
    return render_part(request, ExistingUnitDialog(unknown_path=path, picker=picker, problem=outcome))


def _read_choices(form: Form) -> UnitChoicesUpdate | ValidationError:
    if form.get("all"):
        return validate_fields(UnitChoicesUpdate, {"all": form["all"]})
    # Only what was changed since the page was shown, so that choices from another tab remain.
    rows = zip(form.get_all("path"), form.get_all("shown"), form.get_all("choice"), strict=False)
    items = [_make_item(path, choice) for path, shown, choice in rows if choice != shown]
    return validate_fields(UnitChoicesUpdate, {"items": items})


def _make_item(path: str, choice: str) -> dict[str, str | None]:
    kind, _, unit_id = choice.partition(":")
    return {"path": path, "choice": kind or None, "unit_id": unit_id or None}
