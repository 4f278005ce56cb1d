"""Exports over HTTP: progress, download and deletion. Each feature has its own route that creates an export."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.core.cipher import CipherDep
from app.database.db import ENGINE, ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.exports import operations, queries
from app.exports.errors import ExportExpired, ExportNotReady
from app.exports.schemas import ExportOut
from app.sheets.writer import MEDIA_TYPES
from app.web.downloads import stream_download
from app.web.errors import problems

router = APIRouter(prefix="/v1/orgs/{org_id}/exports", route_class=TransactionalRoute, tags=["exports"])

Reader = Annotated[OrgScope, Can(Permission.EXPORTS_READ)]
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}


@router.get("", summary="List my exports")
async def list_exports(scope: Reader, db: ReadDb, paging: Annotated[Paging, paged_by(UUID)]) -> Page[ExportOut]:
    """List the exports that the caller has made in this org, the newest first. Only the caller can see them. The call
    changes nothing."""
    return await queries.list_exports(db, scope, paging)


@router.get("/{export_id}", summary="Read an export", responses=problems(ExportExpired))
async def read_export(scope: Reader, export_id: UUID, db: ReadDb) -> ExportOut:
    """Read this until the state is `done`, then download the file at `…/content`. A `failed` export says so: start a
    new one.

    The call changes nothing. After a day the file is deleted, and the answer is 410.
    """
    return await queries.get_export(db, scope, export_id)


@router.get(
    "/{export_id}/content",
    summary="Download an export",
    response_class=StreamingResponse,
    responses={
        200: {"content": dict.fromkeys(MEDIA_TYPES.values(), _BINARY), "description": "The file."},
        **problems(ExportNotReady, ExportExpired),
    },
)
async def read_export_content(
    request: Request, scope: Reader, export_id: UUID, db: ReadDb, cipher: CipherDep
) -> StreamingResponse:
    """Get the file of an export. The user who requested the export can download the file for one day, as long as this
    user may still read its contents.

    The call changes nothing. If the file is not ready (409), read the export until its state is `done`.
    """
    return stream_download(await queries.open_export_file(ENGINE.get(request), db, cipher, scope, export_id))


@router.delete("/{export_id}", summary="Delete an export", status_code=204)
async def delete_export(scope: Reader, export_id: UUID, db: WriteDb) -> None:
    """Delete an export with its file when it is no longer needed. One that is still being made is cancelled."""
    await operations.delete_export(db, scope, export_id)
