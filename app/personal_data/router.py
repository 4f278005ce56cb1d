"""The copy of the caller's own data, over HTTP."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response

from app.authz.access import AsOwner
from app.core.calendar import SHANGHAI
from app.core.cipher import CipherDep
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.exports.errors import ExportExpired, ExportNotReady
from app.personal_data import operations, queries
from app.personal_data.schemas import DataCopyOut
from app.web.downloads import build_download
from app.web.errors import TooManyRequests, problems
from app.web.locations import describe_location, set_location

router = APIRouter(prefix="/v1/me/data-copies", route_class=TransactionalRoute, tags=["me"])

MEDIA_TYPE = "application/zip"
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}


@router.post(
    "",
    summary="Request a copy of my data",
    status_code=202,
    responses=describe_location(202) | problems(TooManyRequests),
)
async def request_data_copy(scope: AsOwner, db: WriteDb, response: Response) -> DataCopyOut:
    """Request a copy of everything that the service has stored about the caller: the account, sessions, rows in
    directories, points, requests, messages, and the records of the caller's own acts. The answer comes at once: read
    the address in `Location` until the state is `done`, then download the file.

    It takes the place of an earlier copy. A few copies a day are allowed: after a 429, wait for the seconds of
    `Retry-After`.
    """
    copy = await operations.request_copy(db, scope)
    set_location(response, f"/v1/me/data-copies/{copy.id}")
    return copy


@router.get("/{copy_id}", summary="Read the state of my copy", responses=problems(ExportExpired))
async def read_data_copy(scope: AsOwner, copy_id: UUID, db: ReadDb) -> DataCopyOut:
    """Read this until the state is `done`, then download the file at `…/content`. Where it is `failed`, request a new
    one.

    The call changes nothing. After a day the file is deleted, and the answer is 410.
    """
    return await queries.get_copy(db, scope.user_id, copy_id)


@router.get(
    "/{copy_id}/content",
    summary="Download the copy of my data",
    response_class=Response,
    responses={
        200: {"content": {MEDIA_TYPE: _BINARY}, "description": "A zip of JSON files, and a list of them."},
        **problems(ExportNotReady, ExportExpired),
    },
)
async def read_data_copy_content(scope: AsOwner, copy_id: UUID, db: ReadDb, cipher: CipherDep) -> Response:
    """Get the file: a zip with a JSON file for each kind of data. Only the caller can download it, for one day, with
    the app or the console.

    The call changes nothing. If the file is not ready (409), read the copy until its state is `done`.
    """
    content = await queries.read_content(db, cipher, scope.user_id, copy_id)
    return build_download(content, f"my-data-{datetime.now(SHANGHAI):%Y%m%d}.zip", MEDIA_TYPE)


@router.delete("/{copy_id}", summary="Delete the copy of my data", status_code=204)
async def delete_data_copy(scope: AsOwner, copy_id: UUID, db: WriteDb) -> None:
    """Delete the file when it is no longer needed. A copy that is still being made is cancelled. The data itself stays
    as it is."""
    await operations.delete_copy(db, scope, copy_id)
