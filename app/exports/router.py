"""Exports over HTTP: how far they are, the file, deleting it. Each feature has its own call that asks for one."""

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
from app.web.errors import problems

router = APIRouter(prefix="/v1/orgs/{org_id}/exports", route_class=TransactionalRoute, tags=["exports"])

Reader = Annotated[OrgScope, Can(Permission.EXPORTS_READ)]
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}


@router.get("")
async def list_exports(scope: Reader, db: ReadDb, paging: Annotated[Paging, paged_by(UUID)]) -> Page[ExportOut]:
    """The caller's own exports of this org, newest first; nobody else's."""
    return await queries.list_exports(db, scope, paging)


@router.get("/{export_id}", responses=problems(ExportExpired))
async def read_export(scope: Reader, export_id: UUID, db: ReadDb) -> ExportOut:
    """How far an export is."""
    return await queries.get_export(db, scope, export_id)


@router.get(
    "/{export_id}/content",
    response_class=StreamingResponse,
    responses={
        200: {"content": dict.fromkeys(MEDIA_TYPES.values(), _BINARY), "description": "The file."},
        **problems(ExportNotReady, ExportExpired),
    },
)
async def read_export_content(
    request: Request, scope: Reader, export_id: UUID, db: ReadDb, cipher: CipherDep
) -> StreamingResponse:
    """The file, for whoever asked for it and may still see what it holds; for a day."""
    found = await queries.get_finished_export(db, scope, export_id)
    headers = {
        "Content-Disposition": f'attachment; filename="{found.file_name}"',
        "Content-Length": str(found.size),
        "Cache-Control": "no-store",
    }
    content = queries.stream_content(ENGINE.of(request), cipher, scope.org_id, export_id)
    return StreamingResponse(content, media_type=MEDIA_TYPES[found.format], headers=headers)


@router.delete("/{export_id}", status_code=204)
async def delete_export(scope: Reader, export_id: UUID, db: WriteDb) -> None:
    """Delete an export with its file; one that is still being made is cancelled."""
    await operations.delete_export(db, scope, export_id)
