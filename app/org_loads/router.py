"""Routes of loads of orgs, for platform operators: template, upload, preview, confirmation, rows, reversal."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from app.authz.access import AsOperator
from app.core.cipher import CipherDep
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.imports.router import UPLOAD_PROBLEMS
from app.members.imports.upload_form import MAX_UPLOAD_BYTES, read_file_form
from app.org_loads import operations, queries
from app.org_loads.errors import (
    OrgLoadInUse,
    OrgLoadNotReady,
    OrgLoadNotReversible,
    OrgLoadPreviewStale,
    OrgLoadSettled,
)
from app.org_loads.schemas import LoadRowOutcome, OrgLoadConfirmation, OrgLoadOut, OrgLoadReversal, OrgLoadRowOut
from app.org_loads.sheets import draw_template
from app.sheets.writer import XLSX
from app.web.downloads import build_download
from app.web.errors import NotFound, problems
from app.web.locations import describe_location, set_location

router = APIRouter(
    prefix="/v1/operator/org-loads", route_class=TransactionalRoute, tags=["operator"], responses=problems(NotFound)
)

LoadId = Annotated[UUID, Path(description="The load.")]
_FILE = {"schema": {"type": "string", "format": "binary"}}


@router.get(
    "/template",
    summary="Download the template of a load",
    response_class=Response,
    responses={200: {"content": {XLSX: _FILE}, "description": "The template."}},
)
async def read_org_load_template(_: AsOperator) -> Response:
    """Get the sheet of orgs to fill in (XLSX), with an example row and a guide in Chinese.

    Nothing is changed. Fill the sheet in and upload it with `POST /v1/operator/org-loads`.
    """
    return build_download(await draw_template(), "orgs-template.xlsx", XLSX)


@router.post(
    "",
    summary="Upload a sheet of orgs",
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
                                "description": "xlsx, xls, ods or csv (UTF-8 or GB18030), with the template's columns.",
                            }
                        },
                    }
                }
            },
        }
    },
)
async def create_org_load(
    request: Request, scope: AsOperator, db: WriteDb, cipher: CipherDep, response: Response
) -> OrgLoadOut:
    """Upload a sheet with the orgs of an old system. It is stored encrypted, and a job checks it. No org is created
    before the load is confirmed.

    Read the address in `Location` until the state is `ready`, then look at the rows and confirm. Names stay as they are
    in the sheet. A file that cannot be read is refused with its reason: correct it and upload it again.
    """
    file_name, file = await read_file_form(request)
    load_id = await operations.create_load(db, cipher, scope.actor, scope.user.user_id, file_name, file)
    set_location(response, f"/v1/operator/org-loads/{load_id}")
    return await queries.get_load(db, load_id)


@router.get("", summary="List loads of orgs")
async def list_org_loads(_: AsOperator, db: ReadDb, paging: Annotated[Paging, paged_by(UUID)]) -> Page[OrgLoadOut]:
    """List the loads of all operators, the newest first, with their states and counts. Nothing is changed."""
    return await queries.list_loads(db, paging)


@router.get("/{load_id}", summary="Read a load of orgs")
async def read_org_load(_: AsOperator, load_id: LoadId, db: ReadDb) -> OrgLoadOut:
    """Read the state, the counts and the progress of a load. If the whole sheet is refused, `refusal` says why.

    Nothing is changed.
    """
    return await queries.get_load(db, load_id)


@router.get("/{load_id}/rows", summary="List the rows of a load")
async def list_org_load_rows(
    _: AsOperator,
    load_id: LoadId,
    db: ReadDb,
    paging: Annotated[Paging, paged_by(int)],
    outcome: Annotated[LoadRowOutcome | None, Query(description="Only rows with this outcome.")] = None,
) -> Page[OrgLoadRowOut]:
    """List the rows in the order of the sheet, each with its outcome: the preview before the confirmation, the result
    afterwards. Nothing is changed."""
    return await queries.list_rows(db, load_id, outcome, paging)


@router.get(
    "/{load_id}/refused-rows.xlsx",
    summary="Download the refused rows of a load",
    response_class=Response,
    responses={
        200: {"content": {XLSX: _FILE}, "description": "The refused rows as they were typed, with the reasons."}
    },
)
async def read_refused_org_load_rows(_: AsOperator, load_id: LoadId, db: ReadDb, cipher: CipherDep) -> Response:
    """Get a sheet of only the refused rows, as they were typed, with the reasons. Correct them in this sheet, and
    upload it again: rows can name orgs that exist by now as their superiors.

    Nothing is changed.
    """
    return build_download(await queries.draw_failed_rows(db, cipher, load_id), "refused-rows.xlsx", XLSX)


@router.put(
    "/{load_id}/confirmation",
    summary="Confirm a load of orgs",
    status_code=202,
    responses=problems(OrgLoadNotReady, OrgLoadPreviewStale),
)
async def put_org_load_confirmation(
    scope: AsOperator, load_id: LoadId, body: OrgLoadConfirmation, db: WriteDb
) -> OrgLoadOut:
    """Confirm the preview with the number that the operator has seen. A job creates the orgs, certifies each under its
    superior, and offers it to the person who is to be its main admin. Until that person accepts, the org has no admin.

    If an outcome has changed since the preview, nothing is created: the load returns to `ready` with a new preview, and
    a confirmation of the old one is refused (409 `org-load-preview-stale`). Confirming a preview again changes nothing.
    """
    await operations.confirm_load(db, scope.actor, load_id, body.preview)
    return await queries.get_load(db, load_id)


@router.put(
    "/{load_id}/reversal",
    summary="Reverse a load of orgs",
    status_code=202,
    responses=problems(OrgLoadNotReversible, OrgLoadInUse),
)
async def put_org_load_reversal(scope: AsOperator, load_id: LoadId, body: OrgLoadReversal, db: WriteDb) -> OrgLoadOut:
    """Close the orgs that a load has created, and withdraw the offers to their main admins. A job does it; the state is
    `reversed` afterwards. Asking again while it runs changes nothing.

    Orgs in use are not closed: those with a main admin, people, units, waiting requests or a subordinate that stays. If
    there is one, the call is refused (409 `org-load-in-use`) unless `only_unused` is true.
    """
    user_id = scope.user.user_id
    await operations.reverse_load(db, scope.actor, user_id, load_id, only_unused=body.only_unused)
    return await queries.get_load(db, load_id)


@router.delete("/{load_id}", summary="Cancel a load of orgs", status_code=204, responses=problems(OrgLoadSettled))
async def delete_org_load(scope: AsOperator, load_id: LoadId, db: WriteDb) -> None:
    """Cancel a load that is not over. One that is running stops; the orgs that it has created stay until the load is
    reversed.

    A load that is over cannot be cancelled (409 `org-load-settled`).
    """
    await operations.cancel_load(db, scope.actor, load_id)
