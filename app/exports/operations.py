"""Writes of exports: asking for a file, and deleting it, which also cancels one that is being made."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import bindparam, delete, func, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.core.cipher import Cipher
from app.core.ids import make_id
from app.exports.errors import TooManyExports
from app.exports.kinds import ExportKind
from app.exports.queries import MINE, caller, get_export
from app.exports.retention import KEPT
from app.exports.schemas import ExportFormat, ExportOut
from app.queue.jobs import enqueue
from app.schema.exports import Export
from app.web.errors import NotFound

MOST = 20
"""Exports that one person may have in one org at a time."""


async def create_export(
    db: AsyncConnection,
    cipher: Cipher,
    scope: OrgScope,
    kind: ExportKind,
    form: ExportFormat,
    question: Mapping[str, Any],
    *,
    audited: Mapping[str, Any] | None = None,
) -> ExportOut:
    """Have a file made by a job. `question` goes to the kind as JSON; `audited` is added to the audit entry.

    Raises TooManyExports.
    """
    export_id = make_id()
    values = {
        Export.org_id: scope.org_id,
        Export.id: export_id,
        Export.kind: kind.name,
        Export.permission: kind.permission,
        Export.format: form,
        Export.question_cipher: cipher.encrypt(orjson.dumps(question), export_id),
        Export.created_by: scope.user.user_id,
    }
    few = select(func.count() < MOST).select_from(Export).where(*MINE, Export.expires_at > func.now())
    added = await db.execute(
        insert(Export).from_select(
            [*(column.key for column in values), "expires_at"],
            select(
                *(literal(value, column.type) for column, value in values.items()),
                (func.now() + KEPT),
            ).where(few.scalar_subquery()),
        ),
        caller(scope),
    )
    if added.rowcount == 0:
        raise TooManyExports
    await enqueue(db, kind.job, {"org_id": str(scope.org_id), "export_id": str(export_id)})
    after = {"kind": kind.name, "format": form, **(audited or {})}
    await record(db, scope.actor, "export.created", org_id=scope.org_id, subject=("export", export_id), after=after)
    return await get_export(db, scope, export_id)


_DELETE = delete(Export).where(*MINE, Export.id == bindparam("export_id"))


async def delete_export(db: AsyncConnection, scope: OrgScope, export_id: UUID) -> None:
    """Delete a file; one that is still being made is given up. Raises NotFound."""
    gone = await db.execute(_DELETE, caller(scope) | {"export_id": export_id})
    if gone.rowcount == 0:
        raise NotFound
    await record(db, scope.actor, "export.deleted", org_id=scope.org_id, subject=("export", export_id))
