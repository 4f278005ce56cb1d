"""Reads of exports: each is its asker's alone, for as long as they may see what it holds."""

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


MINE = (
    Export.org_id == bindparam("of_org"),
    Export.created_by == bindparam("of_user"),
    Export.permission == any_(bindparam("permissions", type_=ARRAY(Text))),
)
"""The caller's own exports of this org, of what they may still see; a statement with it is run with `caller`."""

_MINE = select(*_COLUMNS).where(*MINE)
_EXPORT = _MINE.where(Export.id == bindparam("export_id"))
_EXPORTS = PagedStatement(_MINE.where(Export.expires_at > func.now()), Export.id.desc(), row=_ExportRow)
_PART = select(ExportPart.content_cipher).where(
    ExportPart.org_id == bindparam("org_id"),
    ExportPart.export_id == bindparam("export_id"),
    ExportPart.part == bindparam("number"),
)


def caller(scope: OrgScope) -> dict[str, Any]:
    """The parameters of `MINE`."""
    permissions = list_permissions(scope.roles, closed=scope.org.status == "closed")
    return {"of_org": scope.org_id, "of_user": scope.user.user_id, "permissions": list(permissions)}


async def list_exports(db: Readable, scope: OrgScope, paging: Paging) -> Page[ExportOut]:
    """A page of the caller's exports, newest first."""
    return Page[ExportOut].from_slice((await _EXPORTS.fetch(db, paging, **caller(scope))).map(_export_out))


async def get_export(db: Readable, scope: OrgScope, export_id: UUID) -> ExportOut:
    """One of the caller's exports. Raises NotFound, ExportExpired."""
    row = await one_or_404(db, _EXPORT, _ExportRow, caller(scope) | {"export_id": export_id})
    if row.expired:
        raise ExportExpired
    return _export_out(row)


async def get_finished_export(db: Readable, scope: OrgScope, export_id: UUID) -> ExportOut:
    """The same where its file is there. Raises ExportNotReady too."""
    found = await get_export(db, scope, export_id)
    if found.state != "done":
        raise ExportNotReady(state=found.state)
    return found


async def stream_content(engine: AsyncEngine, cipher: Cipher, org_id: UUID, export_id: UUID) -> AsyncIterator[bytes]:
    """The file, a part at a time; no connection is held while a slow reader reads."""
    number = 0
    while True:
        async with engine.connect() as db:
            await db.execution_options(isolation_level="AUTOCOMMIT")
            sealed = await db.scalar(_PART, {"org_id": org_id, "export_id": export_id, "number": number})
        if sealed is None:
            return
        yield cipher.decrypt(sealed, f"{export_id}/{number}")
        number += 1


def _export_out(row: _ExportRow) -> ExportOut:
    day = row.created_at.astimezone(SHANGHAI)
    content = f"/v1/orgs/{row.org_id}/exports/{row.id}/content" if row.state == "done" else None
    return ExportOut(file_name=f"{row.kind}-{day:%Y%m%d}.{row.format}", content=content, **row._asdict())
