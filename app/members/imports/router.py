"""Routes of imports (S9): template, upload, preview, confirmation, progress, rows, refused rows, cancellation."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.core.cipher import CipherDep
from app.database.db import ENGINE, ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.imports import change_queries, change_sheet, column_choices, operations, queries, row_queries
from app.members.imports.errors import (
    FileBomb,
    FileDamaged,
    FileEmpty,
    FileEncrypted,
    FileRenamed,
    FileTooLarge,
    FileTypeUnknown,
    ImportNotReady,
    ImportNotRereadable,
    ImportPreviewStale,
    ImportSettled,
    RemovalsNeedConsent,
    RowNotUndecided,
)
from app.members.imports.progress import follow_import
from app.members.imports.schemas import (
    ChangeOutcome,
    ConfirmationUpdate,
    ImportChangeOut,
    ImportMode,
    ImportOut,
    ImportReadingPut,
    ImportRowOut,
    RowOutcome,
    UnitsOption,
    UnknownUnits,
)
from app.members.imports.upload_form import MAX_UPLOAD_BYTES, read_upload_form
from app.members.sheets import draw_template
from app.orgs.errors import UnknownUnit
from app.orgs.unit_queries import list_unit_paths
from app.sheets.writer import XLSX
from app.web.downloads import build_download
from app.web.errors import BadRequest, BodyTooLarge, Invalid, UnsupportedMediaType, build_problem_response, problems
from app.web.event_stream import STREAMS, EventStream, describe_events
from app.web.locations import describe_location, set_location

router = APIRouter(prefix="/v1/orgs/{org_id}/imports", route_class=TransactionalRoute, tags=["imports"])

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]
UPLOAD_PROBLEMS = problems(
    BadRequest,
    BodyTooLarge,
    FileTooLarge,
    UnsupportedMediaType,
    Invalid,
    FileEmpty,
    FileTypeUnknown,
    FileRenamed,
    FileEncrypted,
    FileDamaged,
    FileBomb,
    UnknownUnit,
)


def _describe_file_response(media_type: str, description: str) -> dict[int | str, dict[str, Any]]:
    schema = {"type": "string", "format": "binary"}
    return {200: {"content": {media_type: {"schema": schema}}, "description": description}}


@router.get(
    "/template",
    summary="Download the template",
    response_class=Response,
    responses=_describe_file_response(XLSX, "The template."),
)
async def read_template(scope: Reader, db: ReadDb) -> Response:
    """Get the sheet to fill in (XLSX). It has the units of the org as a drop-down list, an example row and a guide in
    Chinese.

    The call changes nothing. Fill the sheet in and upload it with `POST …/imports`.
    """
    return build_download(await draw_template(await list_unit_paths(db, scope.org_id)), "members-template.xlsx", XLSX)


@router.post(
    "",
    summary="Upload a sheet",
    status_code=202,
    max_body_size=MAX_UPLOAD_BYTES,
    responses=describe_location(202) | UPLOAD_PROBLEMS,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file"],
                        "properties": {
                            "file": {
                                "type": "string",
                                "format": "binary",
                                "description": "xlsx, xls, ods or csv (UTF-8 or GB18030), with the template's columns, "
                                "under its headings or other usual words for them.",
                            },
                            "mode": {
                                "type": "string",
                                "enum": list(ImportMode),
                                "default": ImportMode.ADD_AND_UPDATE,
                                "description": "`replace-all` also removes the people who are not in the file; "
                                "`replace-unit` takes those of one unit, and of the units under it, out of them.",
                            },
                            "unit_id": {
                                "type": "string",
                                "format": "uuid",
                                "description": "With `replace-unit`: the unit. The sheet may name only it and units "
                                "under it.",
                            },
                            "units": {
                                "type": "string",
                                "enum": list(UnitsOption),
                                "default": UnitsOption.KEEP,
                                "description": "A person in several units whom the file does not name in all of them: "
                                "keep the others, or replace them. A person in one unit moves.",
                            },
                            "unknown_units": {
                                "type": "string",
                                "enum": list(UnknownUnits),
                                "default": UnknownUnits.REFUSE,
                                "description": "A unit that the org does not have: refuse the row, or create the unit.",
                            },
                            "fill_units": {
                                "type": "boolean",
                                "default": False,
                                "description": "Whether an empty unit is that of the row above.",
                            },
                        },
                    }
                }
            },
        }
    },
)
async def create_import(
    request: Request, scope: Writer, db: WriteDb, cipher: CipherDep, response: Response
) -> ImportOut:
    """Upload a sheet of people: xlsx, xls, ods or csv with the columns of the template. It is stored encrypted, and a
    job checks it. Nothing is written to the directory before it is confirmed.

    Read the address in `Location`, or wait at `…/progress`, until the state is `ready`. A file that cannot be read
    is refused with its reason: correct the file and upload it again.
    """
    import_id = await operations.create_import(db, cipher, scope, await read_upload_form(request))
    set_location(response, f"/v1/orgs/{scope.org_id}/imports/{import_id}")
    return await queries.get_import(db, scope.org_id, import_id)


@router.get("", summary="List imports")
async def list_imports(scope: Reader, db: ReadDb, paging: Annotated[Paging, paged_by(UUID)]) -> Page[ImportOut]:
    """List the imports of the org, the newest first, with their states and counts. The call changes nothing."""
    return await queries.list_imports(db, scope.org_id, paging)


@router.get("/{import_id}", summary="Read an import")
async def read_import(scope: Reader, import_id: UUID, db: ReadDb) -> ImportOut:
    """Read the state of an import, and what it would change or has changed. Read it until the state is `ready`, and
    again after the confirmation until the state is `done`.

    A `refused` import has the reason why the sheet was refused. A `failed` import has changed nothing. In both cases
    correct the file and upload it again.
    """
    return await queries.get_import(db, scope.org_id, import_id)


@router.get(
    "/{import_id}/progress",
    summary="Follow an import (SSE)",
    status_code=200,
    response_class=EventStream,
    responses=describe_events(
        "Events `progress`, each the import as JSON, until it waits for a person or is over.", ImportOut, "progress"
    ),
)
async def stream_progress(request: Request, scope: Reader, import_id: UUID, db: ReadDb) -> EventStream:
    """Wait here while a job checks or merges the sheet: each event carries the import as it is now. The stream ends
    when the import waits for the confirmation or is over.

    Where the connection breaks, open it again: it begins with the present state.
    """
    first = await queries.get_import(db, scope.org_id, import_id)
    followed = follow_import(ENGINE.get(request), scope, first)
    return EventStream(followed, STREAMS.get(request))


@router.put(
    "/{import_id}/confirmation",
    summary="Confirm an import",
    status_code=202,
    response_model=ImportOut,
    responses=problems(ImportNotReady, ImportPreviewStale, RemovalsNeedConsent, RowNotUndecided),
)
async def confirm_import(
    request: Request, scope: Writer, import_id: UUID, body: ConfirmationUpdate, db: WriteDb, cipher: CipherDep
) -> ImportOut | Response:
    """Call this when the preview is right, with its number as `preview`. A job then writes all accepted rows to the
    directory, or none of them; refused rows and undecided rows that are not accepted are left out. Confirming again
    changes nothing.

    Where the directory has changed so that the import would do something else than the preview shows, the answer is 409
    `import-preview-stale`: look at the new preview, and confirm that one. An import that would remove many people
    answers 409 `removals-need-consent`. Check who would leave, and confirm again with exactly that number as `leaving`.
    """
    stale = await operations.confirm_import(db, cipher, scope, import_id, body)
    if stale is not None:
        return build_problem_response(request, stale)  # the new preview is committed
    return await queries.get_import(db, scope.org_id, import_id)


@router.put(
    "/{import_id}/reading",
    summary="Read the file in another way",
    status_code=202,
    responses=problems(ImportNotRereadable),
)
async def change_reading(scope: Writer, import_id: UUID, body: ImportReadingPut, db: WriteDb) -> ImportOut:
    """Have the file read again without a new upload: choose what a column is read as, which sheets are read, and
    whether an empty unit is that of the row above. It also helps an import that is refused for its header.

    `reading` of the import has the columns as they were read; `refusal.headings` those of a refused one. The import is
    checked again: wait until its state is `ready`. The choice for a heading is remembered for later files of the org.
    """
    await column_choices.change_reading(db, scope, import_id, body)
    return await queries.get_import(db, scope.org_id, import_id)


@router.get("/{import_id}/changes", summary="List who is changed or leaves")
async def list_changes(
    scope: Reader,
    import_id: UUID,
    db: ReadDb,
    cipher: CipherDep,
    paging: Annotated[Paging, paged_by(UUID)],
    outcome: Annotated[ChangeOutcome | None, Query(description="Only people with this outcome.")] = None,
) -> Page[ImportChangeOut]:
    """List the people of the directory whom the import changes, moves or removes, each value before and after. With
    `outcome=left` these are the people who leave.

    Before the confirmation it is the preview, and afterwards the result. Nothing is changed. The list is stored for
    thirty days.
    """
    await queries.get_import(db, scope.org_id, import_id)
    return await change_queries.list_changes(db, cipher, scope.org_id, import_id, outcome, paging)


@router.get(
    "/{import_id}/changes.xlsx",
    summary="Download who is changed or leaves",
    response_class=Response,
    responses=_describe_file_response(XLSX, "Each changed value of each person, before and after."),
)
async def read_changes(
    scope: Reader,
    import_id: UUID,
    db: ReadDb,
    cipher: CipherDep,
    outcome: Annotated[ChangeOutcome | None, Query(description="Only people with this outcome.")] = None,
) -> Response:
    """Get the list of `…/changes` as a file: one row for each value, before and after. With `outcome=left` it has the
    people who leave. Nothing is changed.
    """
    await queries.get_import(db, scope.org_id, import_id)
    content = await change_sheet.draw_changes(db, cipher, scope.org_id, import_id, outcome)
    return build_download(content, "import-changes.xlsx", XLSX)


@router.get("/{import_id}/rows", summary="Preview the rows")
async def list_rows(
    scope: Reader,
    import_id: UUID,
    db: ReadDb,
    cipher: CipherDep,
    paging: Annotated[Paging, paged_by(int)],
    outcome: Annotated[RowOutcome | None, Query(description="Only rows with this outcome.")] = None,
    problem: Annotated[
        str | None,
        Query(
            pattern="^[a-z0-9-]{1,50}$",
            description="Only rows with the problem of this code.",
            examples=["unit-unknown"],
        ),
    ] = None,
) -> Page[ImportRowOut]:
    """List the result for each row of the sheet, in the order of the sheet: added, changed, moved, unchanged or
    refused, with stable codes. Filter by `outcome` to see only the refused rows, and by `problem` to see those of one
    cause; `…/summary` counts both.

    The call changes nothing. Rows are stored for thirty days.
    """
    await queries.get_import(db, scope.org_id, import_id)
    return await row_queries.list_rows(db, cipher, scope.org_id, import_id, outcome, paging, problem=problem)


@router.get(
    "/{import_id}/failed-rows.xlsx",
    summary="Download the refused rows",
    response_class=Response,
    responses=_describe_file_response(XLSX, "The refused rows as they were typed, with the reasons."),
)
async def read_failed_rows(scope: Writer, import_id: UUID, db: ReadDb, cipher: CipherDep) -> Response:
    """Get a sheet of only the refused rows, as they were typed, with the reasons. Correct them in this sheet, and
    upload it with `POST …/imports`.

    The call changes nothing.
    """
    content = await row_queries.draw_failed_rows(db, cipher, scope.org_id, import_id)
    return build_download(content, "failed-rows.xlsx", XLSX)


@router.delete("/{import_id}", summary="Cancel an import", status_code=204, responses=problems(ImportSettled))
async def cancel_import(scope: Writer, import_id: UUID, db: WriteDb) -> None:
    """Cancel an import that is not over. One that is being merged is undone as a whole, and the directory stays as it
    was.

    An import that is over cannot be cancelled (409 `import-settled`): edit the directory instead.
    """
    await operations.cancel_import(db, scope, import_id)
