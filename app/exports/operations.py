"""Operations that create and delete exports. The deletion of an unfinished export also cancels it."""

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
from app.exports.queries import IS_OWN_EXPORT, build_caller_parameters, get_export
from app.exports.retention import EXPORT_LIFETIME
from app.exports.schemas import ExportFormat, ExportOut
from app.queue.jobs import enqueue
from app.schema.exports import Export
from app.web.errors import NotFound

MAX_EXPORTS = 20
"""A user can have this many exports in one org at the same time."""


async def create_export(
    db: AsyncConnection,
    cipher: Cipher,
    scope: OrgScope,
    kind: ExportKind,
    form: ExportFormat,
    question: Mapping[str, Any],
    *,
    audit_fields: Mapping[str, Any] | None = None,
) -> ExportOut:
    """Create an export and enqueue the job that writes its file.

    The kind gets `question` as JSON; `audit_fields` is added to the audit entry. Raises TooManyExports.
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
    below_limit = (
        select(func.count() < MAX_EXPORTS).select_from(Export).where(*IS_OWN_EXPORT, Export.expires_at > func.now())
    )
    added = await db.execute(
        insert(Export).from_select(
            [*(column.key for column in values), "expires_at"],
            select(
                *(literal(value, column.type) for column, value in values.items()),
                (func.now() + EXPORT_LIFETIME),
            ).where(below_limit.scalar_subquery()),
        ),
        build_caller_parameters(scope),
    )
    if added.rowcount == 0:
        raise TooManyExports
    await enqueue(db, kind.job_name, {"org_id": str(scope.org_id), "export_id": str(export_id)})
    after = {"kind": kind.name, "format": form, **(audit_fields or {})}
    await record(db, scope.actor, "export.created", org_id=scope.org_id, subject=("export", export_id), after=after)
    return await get_export(db, scope, export_id)


_DELETE = delete(Export).where(*IS_OWN_EXPORT, Export.id == bindparam("export_id"))


async def delete_export(db: AsyncConnection, scope: OrgScope, export_id: UUID) -> None:
    """Delete an export with its file. If the file is not finished, its job stops. Raises NotFound."""
    deleted = await db.execute(_DELETE, build_caller_parameters(scope) | {"export_id": export_id})
    if deleted.rowcount == 0:
        raise NotFound
    await record(db, scope.actor, "export.deleted", org_id=scope.org_id, subject=("export", export_id))
