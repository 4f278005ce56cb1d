"""The import wizard (批量导入, S9): template, upload, preview that changes nothing, confirmation, progress, result."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.frame.confirmations import Confirmation, confirmed
from app.console.frame.forms import PageForm, refusal_of
from app.console.frame.route import ConsoleRoute
from app.console.frame.standing import in_org
from app.console.frame.templates import is_partial, page, part
from app.core.cipher import CipherDep
from app.core.i18n import gettext, ngettext
from app.core.services import SETTINGS
from app.database.db import Readable, ReadableDb, ReadDb, WriteDb
from app.database.paging import Paging, paged_by
from app.members.imports import router as calls
from app.members.imports.operations import cancel_import, confirm_import
from app.members.imports.queries import describe_related_rows, get_import, list_imports, list_rows
from app.members.imports.schemas import STATES_WITHOUT_JOB, ImportState, RowOutcome
from app.web.errors import BodyTooLarge, Problem

router = APIRouter(prefix="/console/orgs/{org_id}/imports", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]
ImportId = Annotated[UUID, Path()]
RowPaging = Annotated[Paging, paged_by(int)]
Outcome = Annotated[RowOutcome | None, Query()]


@router.get("")
async def show_imports(request: Request, db: ReadDb, scope: Writer) -> Response:
    """The first step, and what was imported before."""
    return await _show_upload(request, db, scope, None, {})


@router.get("/template")
async def read_template(scope: Reader, db: ReadDb) -> Response:
    """The template to fill in, with the org's units to choose from."""
    return await calls.read_template(scope, db)


@router.post("", max_body_size=calls.MAX_UPLOAD_BYTES)
async def upload(request: Request, scope: Writer, db: WriteDb, cipher: CipherDep) -> Response:
    """Stores the sheet and has it checked."""
    outcome = await refusal_of(db, calls.create_import(request, scope, db, cipher, Response()))
    if isinstance(outcome, Problem):
        # What was chosen is kept; a file no page can choose.
        given = {} if isinstance(outcome, BodyTooLarge) else await request.form()
        return await _show_upload(request, db, scope, outcome, given)
    return Response(status_code=303, headers={"Location": f"/console/orgs/{scope.org_id}/imports/{outcome.id}"})


@router.get("/{import_id}")
async def show_import(request: Request, db: ReadDb, scope: Reader, import_id: ImportId) -> Response:
    """Where it stands: being checked, the preview, being merged, the result."""
    return await _show_import(request, db, scope, import_id, None)


@router.get("/{import_id}/rows")
async def show_rows(
    request: Request,
    db: ReadDb,
    cipher: CipherDep,
    scope: Reader,
    import_id: ImportId,
    paging: RowPaging,
    outcome: Outcome = None,
) -> Response:
    """What becomes of the rows, those of one outcome or all."""
    rows = await list_rows(db, cipher, scope.org_id, import_id, outcome, paging)
    template = "imports/import_rows.html" if paging.after is None else "imports/import_more_rows.html"
    shown = {"rows": rows, "outcome": outcome, "import_id": import_id, "name_rows": describe_related_rows}
    return part(request, template, **in_org(scope, "members"), **shown)


@router.get("/{import_id}/failed-rows.xlsx")
async def read_failed_rows(
    request: Request, scope: Writer, import_id: ImportId, db: ReadDb, cipher: CipherDep
) -> Response:
    """The refused rows, to be mended and uploaded again."""
    return await calls.read_failed_rows(scope, import_id, db, cipher)


@router.post("/{import_id}/confirmation")
async def confirm(request: Request, db: WriteDb, scope: Writer, import_id: ImportId) -> Response:
    """Goes on with what the preview shows; many removals are asked about first."""
    outcome = await refusal_of(db, confirm_import(db, scope, import_id, None))
    return await _show_import(request, db, scope, import_id, outcome)


@confirmed(router, "/{import_id}/removals")
async def confirm_removals(
    request: Request, db: ReadableDb, scope: Writer, import_id: ImportId, form: PageForm
) -> Confirmation:
    """Goes on where many would leave: the org's name is typed. The number that was shown is what is agreed to."""
    found = await get_import(db, scope.org_id, import_id)
    given = form.get("leaving", "")
    leaving = int(given) if given.isascii() and given.isdecimal() and len(given) < 10 else found.counts.left
    return Confirmation(
        title=ngettext("移除 {count} 人并导入", leaving),
        says=ngettext(
            "不在表格中的 {count} 人（现有 {people} 人）将从本组织及各支部中移除，30 天内可以恢复。"
            "请确认表格完整无误。",
            leaving,
            people=found.people,
        ),
        button=gettext("移除并导入"),
        act=lambda db, _: confirm_import(db, scope, import_id, leaving),
        said=gettext("已确认，正在导入"),
        name=scope.org.name,
        kept={"leaving": str(leaving)},
    )


@router.post("/{import_id}/cancellation")
async def cancel(request: Request, db: WriteDb, scope: Writer, import_id: ImportId) -> Response:
    """Ends it; what was being merged is undone whole."""
    outcome = await refusal_of(db, cancel_import(db, scope, import_id))
    return await _show_import(request, db, scope, import_id, outcome)


async def _show_upload(
    request: Request, db: Readable, scope: OrgScope, problem: Problem | None, form: Mapping[str, Any]
) -> Response:
    earlier = await list_imports(db, scope.org_id, Paging(10, None))
    most = SETTINGS.of(request).max_upload_mb
    shown = {**in_org(scope, "members"), "earlier": earlier, "problem": problem, "most": most, "form": form}
    return page(request, "imports/imports.html", 200 if problem is None else problem.status, **shown)


async def _show_import(
    request: Request, db: Readable, scope: OrgScope, import_id: UUID, problem: Problem | None
) -> Response:
    found = await get_import(db, scope.org_id, import_id)
    shown = {
        **in_org(scope, "members"),
        "one": found,
        "problem": problem,
        "waits": found.state in STATES_WITHOUT_JOB,
        "merging": found.state in {ImportState.CONFIRMED, ImportState.MERGING, ImportState.DONE},
    }
    template = "imports/import_state.html" if is_partial(request) else "imports/import.html"
    return page(request, template, 200 if problem is None else problem.status, **shown)
