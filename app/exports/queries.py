"""Reads of exports. Only the user who requested an export can read it, while they have the kind's permission."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Text, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncEngine

from app.authz.access import OrgScope
from app.authz.permissions import list_permissions
from app.core.calendar import SHANGHAI
from app.core.cipher import Cipher
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.database.rows import one_or_404
from app.exports.errors import ExportExpired, ExportNotReady
from app.exports.schemas import ExportOut
from app.schema.exports import Export, ExportPart
from app.sheets.writer import MEDIA_TYPES

_COLUMNS = (
    Export.org_id,
    Export.id,
    Export.kind,
    Export.format,
    Export.state,
    Export.failure,
    Export.rows_total,
    Export.rows_done,
    Export.size,
    Export.created_at,
    Export.finished_at,
    Export.expires_at,
    (Export.expires_at <= func.now()).label("expired"),
)


class _ExportRow(NamedTuple):
    org_id: UUID
    id: UUID
    kind: str
    format: str
    state: str
    failure: str | None
    rows_total: int | None
    rows_done: int
    size: int | None
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime
    expired: bool


IS_OWN_EXPORT = (
    Export.org_id == bindparam("of_org"),
    Export.created_by == bindparam("of_user"),
    Export.permission == any_(bindparam("permissions", type_=ARRAY(Text))),
)
"""The condition for the caller's own exports of this org that the caller still has the permission to read.

`build_caller_parameters` returns its parameters.
"""

_OWN_EXPORTS = select(*_COLUMNS).where(*IS_OWN_EXPORT)
_OWN_EXPORT = _OWN_EXPORTS.where(Export.id == bindparam("export_id"))
_OWN_EXPORTS_PAGE = PagedStatement(_OWN_EXPORTS.where(Export.expires_at > func.now()), Export.id.desc(), row=_ExportRow)
_SELECT_PART = select(ExportPart.content_cipher).where(
    ExportPart.org_id == bindparam("org_id"),
    ExportPart.export_id == bindparam("export_id"),
    ExportPart.part == bindparam("number"),
)


def build_caller_parameters(scope: OrgScope) -> dict[str, Any]:
    """Return the parameters of `IS_OWN_EXPORT`."""
    permissions = list_permissions(scope.roles, closed=scope.org.status == "closed", scopes=scope.user.scopes)
    return {"of_org": scope.org_id, "of_user": scope.user.user_id, "permissions": list(permissions)}


async def list_exports(db: Readable, scope: OrgScope, paging: Paging) -> Page[ExportOut]:
    """Return a page of the caller's exports, the newest first."""
    return Page[ExportOut].from_slice(
        (await _OWN_EXPORTS_PAGE.fetch(db, paging, **build_caller_parameters(scope))).map(_build_export)
    )


async def get_export(db: Readable, scope: OrgScope, export_id: UUID) -> ExportOut:
    """Return one of the caller's exports. Raises NotFound and ExportExpired."""
    row = await one_or_404(db, _OWN_EXPORT, _ExportRow, build_caller_parameters(scope) | {"export_id": export_id})
    if row.expired:
        raise ExportExpired
    return _build_export(row)


async def get_finished_export(db: Readable, scope: OrgScope, export_id: UUID) -> ExportOut:
    """Return one of the caller's exports whose file is finished. Raises NotFound, ExportExpired and ExportNotReady."""
    found = await get_export(db, scope, export_id)
    if found.state != "done":
        raise ExportNotReady(state=found.state)
    return found


class ExportFile(NamedTuple):
    """A finished file. `size` is in bytes; `content` yields the decrypted parts."""

    name: str
    media_type: str
    size: int | None
    content: AsyncIterator[bytes]


async def open_export_file(
    engine: AsyncEngine, db: Readable, cipher: Cipher, scope: OrgScope, export_id: UUID
) -> ExportFile:
    """Return the file of one of the caller's exports. Raises NotFound, ExportExpired and ExportNotReady."""
    found = await get_finished_export(db, scope, export_id)
    content = stream_content(engine, cipher, scope.org_id, export_id)
    return ExportFile(found.file_name, MEDIA_TYPES[found.format], found.size, content)


async def stream_content(engine: AsyncEngine, cipher: Cipher, org_id: UUID, export_id: UUID) -> AsyncIterator[bytes]:
    """Yield the decrypted file part by part. No connection is in use while a slow client reads."""
    number = 0
    while True:
        async with engine.connect() as db:
            await db.execution_options(isolation_level="AUTOCOMMIT")
            encrypted = await db.scalar(_SELECT_PART, {"org_id": org_id, "export_id": export_id, "number": number})
        if encrypted is None:
            return
        yield cipher.decrypt(encrypted, f"{export_id}/{number}")
        number += 1


def _build_export(row: _ExportRow) -> ExportOut:
    day = row.created_at.astimezone(SHANGHAI)
    content = f"/v1/orgs/{row.org_id}/exports/{row.id}/content" if row.state == "done" else None
    return ExportOut(file_name=f"{row.kind}-{day:%Y%m%d}.{row.format}", content=content, **row._asdict())
