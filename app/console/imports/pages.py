"""The import wizard (批量导入, S9): template, upload, preview that changes nothing, confirmation, progress, result."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.frame.confirmations import Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import Form, PageForm, catch_problem
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import ProblemContext, is_partial, render_page, render_part
from app.core.cipher import Cipher, CipherDep
from app.core.i18n import gettext, join_words, ngettext
from app.core.services import SETTINGS
from app.database.db import Readable, ReadableDb, ReadDb, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.imports.change_queries import list_changes
from app.members.imports.change_sheet import draw_changes
from app.members.imports.change_texts import describe_value, get_field_title
from app.members.imports.operations import cancel_import, confirm_import, create_import
from app.members.imports.queries import (
    describe_places,
    describe_related_rows,
    draw_failed_rows,
    get_import,
    list_imports,
    list_rows,
)
from app.members.imports.schemas import (
    STATES_WITHOUT_JOB,
    ChangeOutcome,
    ConfirmationUpdate,
    ImportChangeOut,
    ImportOut,
    ImportRowOut,
    ImportState,
    RowDecision,
    RowOutcome,
    RowPlaceOut,
)
from app.members.imports.upload_form import MAX_UPLOAD_BYTES, read_upload_form
from app.members.sheets import draw_template
from app.orgs.unit_queries import list_unit_paths
from app.sheets.writer import XLSX
from app.web.downloads import build_download
from app.web.errors import BodyTooLarge, Problem

router = APIRouter(prefix="/console/orgs/{org_id}/imports", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]
ImportId = Annotated[UUID, Path()]
RowPaging = Annotated[Paging, paged_by(int)]
Outcome = Annotated[RowOutcome | None, Query()]
ChangePaging = Annotated[Paging, paged_by(UUID)]
ChosenChange = Annotated[ChangeOutcome | None, Query()]


class ImportsPage(FrameContext, ProblemContext, template="imports/imports.html"):
    """The form for a new import. `most`: the largest file in MB; `form`: the choices made before a refusal."""

    earlier: Page[ImportOut]
    most: int
    form: Mapping[str, Any]


class ImportProgress(FrameContext, ProblemContext, template="imports/import_state.html"):
    viewed_import: ImportOut
    name_places: Callable[[Sequence[RowPlaceOut]], str] = describe_places
    join_words: Callable[[Iterable[str]], str] = join_words

    @property
    def waits(self) -> bool:
        """Return whether no job works on the import: the import waits for a person or is over."""
        return self.viewed_import.state in STATES_WITHOUT_JOB

    @property
    def merging(self) -> bool:
        return self.viewed_import.state in {ImportState.CONFIRMED, ImportState.MERGING, ImportState.DONE}


class ImportPage(ImportProgress, template="imports/import.html"):
    pass


class MoreImportRows(FrameContext, template="imports/import_more_rows.html"):
    rows: Page[ImportRowOut]
    outcome: RowOutcome | None
    import_id: UUID
    name_rows: Callable[[Sequence[RowPlaceOut]], str]
    get_field_title: Callable[[str], str] = get_field_title
    describe_value: Callable[[str | bool | list[str] | None], str] = describe_value


class ImportRows(MoreImportRows, template="imports/import_rows.html"):
    """The first rows, with the choice of the outcome."""


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


@router.get("")
async def show_imports(
    request: Request, db: ReadDb, scope: Writer, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show the form for a new import, and the past imports."""
    return await _show_upload(request, db, scope, None, {}, paging.after)


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
    return Response(status_code=303, headers={"Location": f"/console/orgs/{scope.org_id}/imports/{outcome}"})


@router.get("/{import_id}")
async def show_import(request: Request, db: ReadDb, scope: Reader, import_id: ImportId) -> Response:
    """Show the state of the import: check, preview, merge or result."""
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
    """Show the rows of the import: all, or those of one outcome."""
    rows = await list_rows(db, cipher, scope.org_id, import_id, outcome, paging)
    part = ImportRows if paging.after is None else MoreImportRows
    shown = part(
        frame=build_org_frame(scope, "members"),
        rows=rows,
        outcome=outcome,
        import_id=import_id,
        name_rows=describe_related_rows,
    )
    return render_part(request, shown)


@router.get("/{import_id}/changes")
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
    frame = build_org_frame(scope, "members")
    if paging.after is not None:
        return render_part(request, MoreImportChanges(frame=frame, people=people, chosen=chosen, import_id=import_id))
    shown = ImportChanges(frame=frame, people=people, chosen=chosen, import_id=import_id, viewed_import=found)
    return render_part(request, shown)


def _choose_first_outcome(found: ImportOut) -> ChangeOutcome:
    counts = found.counts
    if counts.left:
        return ChangeOutcome.LEFT
    return ChangeOutcome.MOVED if counts.moved and not counts.changed else ChangeOutcome.CHANGED


@router.get("/{import_id}/changes.xlsx")
async def read_changes(
    scope: Reader, import_id: ImportId, db: ReadDb, cipher: CipherDep, outcome: ChosenChange = None
) -> Response:
    """Return the people whom the import changes, moves or removes as a file."""
    await get_import(db, scope.org_id, import_id)
    return build_download(await draw_changes(db, cipher, scope.org_id, import_id, outcome), "import-changes.xlsx", XLSX)


@router.get("/{import_id}/failed-rows.xlsx")
async def read_failed_rows(
    request: Request, scope: Writer, import_id: ImportId, db: ReadDb, cipher: CipherDep
) -> Response:
    """Return the refused rows as a file, to be corrected and uploaded again."""
    return build_download(await draw_failed_rows(db, cipher, scope.org_id, import_id), "failed-rows.xlsx", XLSX)


@router.post("/{import_id}/confirmation")
async def submit_confirmation(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, import_id: ImportId, form: PageForm
) -> Response:
    """Confirm the preview of the import. An import with many removals needs `confirm_removals` instead."""
    decisions = _read_decisions(form)
    body = _make_confirmation(_read_number(form, "preview") or 0, None, decisions)
    outcome = await catch_problem(db, confirm_import(db, cipher, scope, import_id, body))
    return await _show_import(request, db, scope, import_id, outcome)


@add_confirmation_routes(router, "/{import_id}/removals")
async def confirm_removals(
    request: Request, db: ReadableDb, cipher: CipherDep, scope: Writer, import_id: ImportId, form: PageForm
) -> Confirmation:
    """Confirm an import that removes many people. The user types the org's name and confirms the number of removed
    people."""
    found = await get_import(db, scope.org_id, import_id)
    preview, leaving = _read_number(form, "preview"), _read_number(form, "leaving")
    preview = found.preview if preview is None else preview
    leaving = found.counts.left if leaving is None else leaving
    decisions = _read_decisions(form or request.query_params)
    body = _make_confirmation(preview, leaving, decisions)
    return Confirmation(
        title=ngettext("移除 {count} 人并导入", leaving),
        explanation=ngettext(
            "不在表格中的 {count} 人（现有 {people} 人）将从本组织及各支部中移除，30 天内可以恢复。"
            "请确认表格完整无误。",
            leaving,
            people=found.people,
        ),
        button=gettext("移除并导入"),
        operation=lambda db, _: confirm_import(db, cipher, scope, import_id, body),
        message=gettext("已确认，正在导入"),
        name=scope.org.name,
        hidden_fields={"leaving": str(leaving), "preview": str(preview)} | decisions,
    )


def _read_decisions(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the fields that decide about undecided rows: `row-` with the id of the row, and the decision."""
    decisions = {RowDecision.ACCEPTED, RowDecision.SEPARATE}
    return {
        name: value
        for name, value in fields.items()
        if name.startswith("row-") and _parse_number(name[4:]) is not None and value in decisions
    }


def _make_confirmation(preview: int, leaving: int | None, decisions: Mapping[str, str]) -> ConfirmationUpdate:
    rows = {
        decision: [int(name[4:]) for name, value in decisions.items() if value == decision] for decision in RowDecision
    }
    return ConfirmationUpdate(
        preview=preview,
        leaving=leaving,
        accepted_rows=rows[RowDecision.ACCEPTED],
        separate_rows=rows[RowDecision.SEPARATE],
    )


def _read_number(form: Form, name: str) -> int | None:
    return _parse_number(form.get(name, ""))


def _parse_number(given: str) -> int | None:
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 10 else None


@router.post("/{import_id}/cancellation")
async def confirm_cancellation(request: Request, db: WriteDb, scope: Writer, import_id: ImportId) -> Response:
    """Cancel the import. A running merge is rolled back as a whole."""
    outcome = await catch_problem(db, cancel_import(db, scope, import_id))
    return await _show_import(request, db, scope, import_id, outcome)


async def _create_import(request: Request, db: WriteDb, cipher: Cipher, scope: OrgScope) -> UUID:
    return await create_import(db, cipher, scope, await read_upload_form(request))


async def _show_upload(
    request: Request,
    db: Readable,
    scope: OrgScope,
    problem: Problem | None,
    form: Mapping[str, Any],
    after: tuple[Any, ...] | None = None,
) -> Response:
    earlier = await list_imports(db, scope.org_id, Paging(10, after))
    most = SETTINGS.get(request).max_upload_mb
    frame = build_org_frame(scope, "members")
    return render_page(request, ImportsPage(frame=frame, earlier=earlier, problem=problem, most=most, form=form))


async def _show_import(
    request: Request, db: Readable, scope: OrgScope, import_id: UUID, problem: Problem | None
) -> Response:
    found = await get_import(db, scope.org_id, import_id)
    page = ImportProgress if is_partial(request) else ImportPage
    return render_page(request, page(frame=build_org_frame(scope, "members"), viewed_import=found, problem=problem))
