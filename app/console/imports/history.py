"""The imports of the org in the directory: file, time, admin, counts and state of each."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page
from app.console.imports.states import Reader
from app.database.db import ReadDb
from app.database.paging import Page, Paging, paged_by
from app.members.imports.queries import list_imports
from app.members.imports.schemas import STATES_WITHOUT_JOB, ImportOut

router = APIRouter(prefix="/console/orgs/{org_id}/imports/history", route_class=ConsoleRoute, include_in_schema=False)


class ImportHistoryPage(FrameContext, template="imports/import_history.html"):
    imports: Page[ImportOut]

    @property
    def is_working(self) -> bool:
        """Return whether a job works on one of the shown imports."""
        return any(each.state not in STATES_WITHOUT_JOB for each in self.imports.items)


@router.get("")
async def show_history(
    request: Request, db: ReadDb, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show the imports of the org, the newest first. The page polls while a job works on one of them."""
    imports = await list_imports(db, scope.org_id, paging)
    return render_page(request, ImportHistoryPage(frame=build_org_frame(scope, "imports"), imports=imports))
