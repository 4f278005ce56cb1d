"""The people whom an import changes, moves or removes, before and after."""

from collections.abc import Callable, Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_part
from app.console.imports.states import ImportId, Reader
from app.core.cipher import CipherDep
from app.database.db import ReadDb
from app.database.paging import Page, Paging, paged_by
from app.members.imports.change_queries import list_changes
from app.members.imports.change_sheet import draw_changes
from app.members.imports.change_texts import describe_value, get_field_title
from app.members.imports.queries import get_import
from app.members.imports.schemas import ChangeOutcome, ImportChangeOut, ImportOut, RowPlaceOut
from app.members.imports.sheet_contents import describe_places
from app.sheets.writer import XLSX
from app.web.downloads import build_download

router = APIRouter(
    prefix="/console/orgs/{org_id}/imports/{import_id}", route_class=ConsoleRoute, include_in_schema=False
)

ChangePaging = Annotated[Paging, paged_by(UUID)]
ChosenChange = Annotated[ChangeOutcome | None, Query()]


class MoreImportChanges(FrameContext, template="imports/import_more_changes.html"):
    people: Page[ImportChangeOut]
    chosen: ChangeOutcome
    import_id: UUID
    name_places: Callable[[Sequence[RowPlaceOut]], str] = describe_places
    get_field_title: Callable[[str], str] = get_field_title
    describe_value: Callable[[str | bool | list[str] | None], str] = describe_value


class ImportChanges(MoreImportChanges, template="imports/import_changes.html"):
    """The first people whom the import changes, moves or removes, with the choice of the outcome."""

    viewed_import: ImportOut


@router.get("/changes")
async def show_changes(
    request: Request,
    db: ReadDb,
    cipher: CipherDep,
    scope: Reader,
    import_id: ImportId,
    paging: ChangePaging,
    outcome: ChosenChange = None,
) -> Response:
    """Show the people whom the import changes, moves or removes, before and after."""
    found = await get_import(db, scope.org_id, import_id)
    chosen = outcome or _choose_first_outcome(found)
    people = await list_changes(db, cipher, scope.org_id, import_id, chosen, paging)
    frame = build_org_frame(scope, "imports")
    if paging.after is not None:
        return render_part(request, MoreImportChanges(frame=frame, people=people, chosen=chosen, import_id=import_id))
    shown = ImportChanges(frame=frame, people=people, chosen=chosen, import_id=import_id, viewed_import=found)
    return render_part(request, shown)


def _choose_first_outcome(found: ImportOut) -> ChangeOutcome:
    counts = found.counts
    if counts.left:
        return ChangeOutcome.LEFT
    return ChangeOutcome.MOVED if counts.moved and not counts.changed else ChangeOutcome.CHANGED


@router.get("/changes.xlsx")
async def read_changes(
    scope: Reader, import_id: ImportId, db: ReadDb, cipher: CipherDep, outcome: ChosenChange = None
) -> Response:
    """Return the people whom the import changes, moves or removes as a file."""
    await get_import(db, scope.org_id, import_id)
    return build_download(await draw_changes(db, cipher, scope.org_id, import_id, outcome), "import-changes.xlsx", XLSX)
