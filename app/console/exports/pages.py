"""The directory as a file (导出): asked for with the filters in use, its progress, download and deletion."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.directory.pages import AskedFor
from app.console.frame.confirmations import Confirmation, confirmed
from app.console.frame.forms import Form, PageForm, checked, refusal_of, show_form
from app.console.frame.route import ConsoleRoute
from app.console.frame.standing import in_org
from app.console.frame.templates import page
from app.core.cipher import Cipher, CipherDep
from app.core.i18n import gettext
from app.database.db import Readable, ReadableDb, ReadDb, WriteDb
from app.database.paging import Paging, paged_by
from app.exports import router as calls
from app.exports.operations import delete_export
from app.exports.queries import get_export, list_exports
from app.members.export import create_member_export
from app.members.queries import MemberFilter, count_members
from app.members.schemas import MemberExportCreate
from app.web.errors import Invalid, Problem

router = APIRouter(prefix="/console/orgs/{org_id}/exports", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.EXPORTS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]
ExportId = Annotated[UUID, Path()]
_FILTERS = ("q", "unit_id", "units_below", "at_org", "active", "party", "verified")


@router.get("")
async def show_exports(
    request: Request, db: ReadDb, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """My exports; the page asks again while one is being made."""
    exports = await list_exports(db, scope, paging)
    working = any(one.state in {"waiting", "running"} for one in exports.items)
    return page(request, "exports/exports.html", **in_org(scope, "exports"), exports=exports, working=working)


@router.get("/new")
async def show_new_export(request: Request, db: ReadDb, cipher: CipherDep, scope: Writer, asked: AskedFor) -> Response:
    """Format and phones; whom, as the table shows them."""
    wanted = asked.filter
    given = {name: getattr(wanted, name) for name in _FILTERS if getattr(wanted, name) is not None}
    if wanted.unit_id is None:
        given.pop("units_below", None)
    form = Form([(name, str(value)) for name, value in given.items()])
    return await _show_form(request, db, cipher, scope, form, None)


@router.post("")
async def export(request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, form: PageForm) -> Response:
    """Has it made, and goes to where it will be."""
    body = checked(MemberExportCreate, form.given("format", "phones", *_FILTERS))
    if isinstance(body, ValidationError):
        raise Invalid
    making = create_member_export(db, cipher, scope, body)
    outcome = await refusal_of(db, making)
    if isinstance(outcome, Problem):
        return await _show_form(request, db, cipher, scope, form, outcome)
    return Response(status_code=204, headers={"HX-Redirect": f"/console/orgs/{scope.org_id}/exports"})


@router.get("/{export_id}/content")
async def read_content(request: Request, db: ReadDb, cipher: CipherDep, scope: Reader, export_id: ExportId) -> Response:
    """The file."""
    return await calls.read_export_content(request, scope, export_id, db, cipher)


@confirmed(router, "/{export_id}/deletion")
async def delete(request: Request, db: ReadableDb, scope: Reader, export_id: ExportId) -> Confirmation:
    """Deletes the file, its name having been typed; one that is being made is cancelled."""
    one = await get_export(db, scope, export_id)
    return Confirmation(
        title=gettext("删除导出 {name}", name=one.file_name),
        says=gettext("文件立即删除；需要时可以重新导出。通讯录不受影响。"),
        button=gettext("删除"),
        act=lambda db, _: delete_export(db, scope, export_id),
        said=gettext("导出已删除"),
        name=one.file_name,
    )


async def _show_form(
    request: Request, db: Readable, cipher: Cipher, scope: OrgScope, form: Form, problem: Problem | None
) -> Response:
    body = checked(MemberExportCreate, form.given(*_FILTERS))
    if isinstance(body, ValidationError):
        raise Invalid
    wanted = MemberFilter(**body.model_dump(include=set(_FILTERS)))
    shown = {"kept": form.given(*_FILTERS), "count": await count_members(db, cipher, scope.org_id, wanted)}
    return show_form(request, "exports/new_export.html", form, problem, **in_org(scope, "exports"), **shown)
