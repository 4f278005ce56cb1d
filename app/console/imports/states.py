"""The state of an import: check, preview, merge or result, on a page of its own or as the part that polls."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import ProblemContext, is_partial, render_page, render_part
from app.console.imports.new_units import NewUnit, build_tree
from app.core.i18n import join_words
from app.database.db import Readable, ReadDb
from app.database.paging import Page, Paging
from app.members.imports.edits.schemas import UnknownUnitOut
from app.members.imports.edits.unit_queries import list_unknown_units
from app.members.imports.queries import get_import
from app.members.imports.schemas import STATES_WITHOUT_JOB, ImportOut, ImportState, RowPlaceOut
from app.members.imports.sheet_contents import describe_places
from app.orgs.unit_queries import list_units_by_id
from app.web.errors import Problem

router = APIRouter(
    prefix="/console/orgs/{org_id}/imports/{import_id}", route_class=ConsoleRoute, include_in_schema=False
)

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]
ImportId = Annotated[UUID, Path()]

PREVIEW_CHANGED = "preview-changed"
"""The event after an edit of the preview: its parts load again."""
FIRST_UNITS = Paging(50, None)


class ImportPreview(FrameContext, template="imports/import_preview_head.html"):
    """What a checked import will change, and its confirmation."""

    viewed_import: ImportOut
    name_places: Callable[[Sequence[RowPlaceOut]], str] = describe_places
    join_words: Callable[[Iterable[str]], str] = join_words

    @property
    def new_units(self) -> Sequence[NewUnit]:
        return build_tree(self.viewed_import.new_units)


class ImportProgress(ImportPreview, ProblemContext, template="imports/import_state.html"):
    unknown_units: Page[UnknownUnitOut] | None

    @property
    def waits(self) -> bool:
        """Return whether no job works on the import: the import waits for a person or is over."""
        return self.viewed_import.state in STATES_WITHOUT_JOB

    @property
    def has_rows(self) -> bool:
        """Return whether the rows and changes of the import are still stored."""
        return self.viewed_import.rows_kept_until > datetime.now(UTC)

    @property
    def merging(self) -> bool:
        return self.viewed_import.state in {ImportState.CONFIRMED, ImportState.MERGING, ImportState.DONE}


class ImportPage(ImportProgress, template="imports/import.html"):
    unit: str | None
    """The path of the unit that the import replaces; None if it replaces none, or the unit is removed."""


@router.get("/preview")
async def show_preview(request: Request, db: ReadDb, scope: Reader, import_id: ImportId) -> Response:
    """Show the head of the preview; the whole import, if it waits for no confirmation any more."""
    found = await get_import(db, scope.org_id, import_id)
    if found.state == ImportState.READY:
        return render_part(request, ImportPreview(frame=build_org_frame(scope, "imports"), viewed_import=found))
    response = await show_state(request, db, scope, import_id)
    response.headers.update({"HX-Retarget": "#import", "HX-Reswap": "outerHTML"})
    return response


async def show_state(
    request: Request, db: Readable, scope: OrgScope, import_id: UUID, problem: Problem | None = None
) -> Response:
    """Show the import, and why it could not be changed. Raises NotFound."""
    found = await get_import(db, scope.org_id, import_id)
    frame = build_org_frame(scope, "imports")
    unknown_units = None
    if found.state == ImportState.READY:
        unknown_units = await list_unknown_units(db, scope.org_id, import_id, FIRST_UNITS)
    if is_partial(request):
        part = ImportProgress(frame=frame, viewed_import=found, problem=problem, unknown_units=unknown_units)
        return render_page(request, part)
    units = [] if found.unit_id is None else await list_units_by_id(db, scope.org_id, [found.unit_id])
    page = ImportPage(
        frame=frame,
        viewed_import=found,
        problem=problem,
        unknown_units=unknown_units,
        unit=units[0].path if units else None,
    )
    return render_page(request, page)
