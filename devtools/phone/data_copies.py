"""The copy of the user's own data, on the phone: request it, download it, delete it."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from app.authz.access import AsOwner
from app.console.frame.forms import catch_problem
from app.console.frame.templates import ProblemContext, render_page
from app.core.calendar import SHANGHAI
from app.core.cipher import CipherDep
from app.database.db import Readable, ReadDb, WriteDb
from app.personal_data.operations import delete_copy, request_copy
from app.personal_data.queries import find_copy, read_content
from app.personal_data.schemas import DataCopyOut
from app.web.downloads import build_download
from app.web.errors import Problem
from devtools.phone.sign_in import PhoneRoute

router = APIRouter(prefix="/phone/security/data", route_class=PhoneRoute, include_in_schema=False)

HOME = "/phone/security/data"
CopyId = Annotated[UUID, Path()]


class DataCopyPage(ProblemContext, template="phone/data_copy.html"):
    """`copy` is the present copy, or None."""

    copy: DataCopyOut | None


@router.get("")
async def show_copy(request: Request, db: ReadDb, scope: AsOwner) -> Response:
    """Show the state of the copy."""
    return await _show(request, db, scope.user_id)


@router.post("")
async def request_my_copy(request: Request, db: WriteDb, scope: AsOwner) -> Response:
    """Request a copy in place of an earlier one."""
    outcome = await catch_problem(db, request_copy(db, scope))
    if isinstance(outcome, Problem):
        return await _show(request, db, scope.user_id, outcome)
    return Response(status_code=303, headers={"Location": HOME})


@router.get("/{copy_id}/content")
async def download_copy(db: ReadDb, cipher: CipherDep, scope: AsOwner, copy_id: CopyId) -> Response:
    """Download the file. Raises NotFound, ExportExpired, ExportNotReady."""
    content = await read_content(db, cipher, scope.user_id, copy_id)
    return build_download(content, f"my-data-{datetime.now(SHANGHAI):%Y%m%d}.zip", "application/zip")


@router.post("/{copy_id}/deletion")
async def delete_my_copy(db: WriteDb, scope: AsOwner, copy_id: CopyId) -> Response:
    """Delete the file. Raises NotFound."""
    await delete_copy(db, scope, copy_id)
    return Response(status_code=303, headers={"Location": HOME})


async def _show(request: Request, db: Readable, user_id: UUID, problem: Problem | None = None) -> Response:
    return render_page(request, DataCopyPage(copy=await find_copy(db, user_id), problem=problem))
