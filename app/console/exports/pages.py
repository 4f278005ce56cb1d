"""Exports of the directory (导出): request with the current filters, progress, download and deletion."""

from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.directory.pages import DirectoryFilters
from app.console.frame.confirmations import Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import Form, FormContext, PageForm, catch_problem, validate_fields
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page, render_part
from app.core.cipher import Cipher, CipherDep
from app.core.i18n import gettext
from app.database.db import ENGINE, Readable, ReadableDb, ReadDb, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.exports.operations import delete_export
from app.exports.queries import get_export, list_exports, open_export_file
from app.exports.schemas import ExportOut
from app.members.export import create_member_export
from app.members.member_list import MemberFilter, count_members
from app.members.schemas import MemberExportCreate
from app.web.downloads import stream_download
from app.web.errors import Invalid, Problem

router = APIRouter(prefix="/console/orgs/{org_id}/exports", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.EXPORTS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]
ExportId = Annotated[UUID, Path()]
_FILTERS = ("q", "unit_id", "units_below", "at_org", "active", "party", "verified")


class ExportsPage(FrameContext, template="exports/exports.html"):
    exports: Page[ExportOut]
    working: bool


class NewExport(FormContext, FrameContext, template="exports/new_export.html"):
    hidden_fields: Mapping[str, str]
    count: int


@router.get("")
async def show_exports(
    request: Request, db: ReadDb, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show the caller's exports. The page polls while an export is running."""
    exports = await list_exports(db, scope, paging)
    working = any(export.state in {"waiting", "running"} for export in exports.items)
    return render_page(request, ExportsPage(frame=build_org_frame(scope, "exports"), exports=exports, working=working))


@router.get("/new")
async def show_new_export(
    request: Request, db: ReadDb, cipher: CipherDep, scope: Writer, filters: DirectoryFilters
) -> Response:
    """Show the form for the format and the phones of an export. It contains the people that the table shows with its
    filter."""
    wanted = filters.filter
    given = {name: getattr(wanted, name) for name in _FILTERS if getattr(wanted, name) is not None}
    if wanted.unit_id is None:
        given.pop("units_below", None)
    form = Form([(name, str(value)) for name, value in given.items()])
    return await _show_form(request, db, cipher, scope, form, None)


@router.post("")
async def request_export(request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, form: PageForm) -> Response:
    """Request the export and go to the list of exports."""
    body = validate_fields(MemberExportCreate, form.get_filled("format", "phones", *_FILTERS))
    if isinstance(body, ValidationError):
        raise Invalid
    creation = create_member_export(db, cipher, scope, body)
    outcome = await catch_problem(db, creation)
    if isinstance(outcome, Problem):
        return await _show_form(request, db, cipher, scope, form, outcome)
    return Response(status_code=204, headers={"HX-Redirect": f"/console/orgs/{scope.org_id}/exports"})


@router.get("/{export_id}/content")
async def read_content(request: Request, db: ReadDb, cipher: CipherDep, scope: Reader, export_id: ExportId) -> Response:
    """Return the file of an export."""
    return stream_download(await open_export_file(ENGINE.get(request), db, cipher, scope, export_id))


@add_confirmation_routes(router, "/{export_id}/deletion")
async def confirm_deletion(request: Request, db: ReadableDb, scope: Reader, export_id: ExportId) -> Confirmation:
    """Delete the file, or cancel a running export. The user types the file's name to confirm."""
    export = await get_export(db, scope, export_id)
    return Confirmation(
        title=gettext("删除导出 {name}", name=export.file_name),
        explanation=gettext("文件立即删除；需要时可以重新导出。通讯录不受影响。"),
        button=gettext("删除"),
        operation=lambda db, _: delete_export(db, scope, export_id),
        message=gettext("导出已删除"),
        name=export.file_name,
    )


async def _show_form(
    request: Request, db: Readable, cipher: Cipher, scope: OrgScope, form: Form, problem: Problem | None
) -> Response:
    body = validate_fields(MemberExportCreate, form.get_filled(*_FILTERS))
    if isinstance(body, ValidationError):
        raise Invalid
    wanted = MemberFilter(**body.model_dump(include=set(_FILTERS)))
    dialog = NewExport(
        frame=build_org_frame(scope, "exports"),
        form=form,
        outcome=problem,
        hidden_fields=form.get_filled(*_FILTERS),
        count=await count_members(db, cipher, scope.org_id, wanted),
    )
    return render_part(request, dialog)
