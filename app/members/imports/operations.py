"""Writes of imports: upload, confirmation and cancellation."""

import asyncio
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.core.cipher import Cipher
from app.database.rows import one_or_404
from app.members.imports.errors import ImportNotReady, ImportSettled, RemovalsNeedConsent
from app.members.imports.files import store_file
from app.members.imports.jobs import CHECK, CHECK_LARGE, LARGE_BYTES, LARGE_ROWS, MERGE, MERGE_LARGE, needs_consent
from app.members.imports.schemas import FINISHED_STATES
from app.members.imports.uploads import Upload, inspect_upload
from app.orgs.locks import lock_org_shared
from app.queue.jobs import enqueue
from app.schema.members import Import, ImportFile
from app.web.errors import NotFound


async def create_import(db: AsyncConnection, cipher: Cipher, scope: OrgScope, upload: Upload) -> UUID:
    """Store a sheet encrypted and enqueue its check. Return the import's id.

    Locks the org. Raises a SheetRefused if `inspect_upload` finds that the file cannot be read.
    """
    kind = await asyncio.to_thread(inspect_upload, upload.file_name, upload.file)
    await lock_org_shared(db, scope)
    import_id: UUID = (
        await db.execute(
            insert(Import)
            .values(
                org_id=scope.org_id,
                mode=upload.mode,
                unknown_units=upload.unknown_units,
                format=kind,
                file_name=upload.file_name,
                created_by=scope.user.user_id,
            )
            .returning(Import.id)
        )
    ).scalar_one()
    size = await store_file(db, cipher, scope.org_id, import_id, upload.file)
    await enqueue(db, CHECK_LARGE if size >= LARGE_BYTES else CHECK, _make_payload(scope, import_id))
    after = {"mode": upload.mode, "unknown_units": upload.unknown_units, "format": kind}
    await record(db, scope.actor, "import.uploaded", org_id=scope.org_id, subject=("import", import_id), after=after)
    return import_id


async def confirm_import(db: AsyncConnection, scope: OrgScope, import_id: UUID, leaving: int | None) -> None:
    """Confirm a checked import and enqueue its merge. Confirming it again changes nothing.

    `leaving` is the number of removals that the admin consents to. Locks the org and the import. Raises NotFound,
    ImportNotReady, RemovalsNeedConsent.
    """
    await lock_org_shared(db, scope)
    found = await one_or_404(
        db,
        select(Import.state, Import.leaving, Import.people, Import.rows_total)
        .where(Import.org_id == scope.org_id, Import.id == import_id)
        .with_for_update(),
    )
    if found.state in {"confirmed", "merging", "done"}:
        return
    if found.state != "ready":
        raise ImportNotReady(state=found.state)
    if needs_consent(found.leaving, found.people) and (leaving is None or leaving < found.leaving):
        raise RemovalsNeedConsent(leaving=found.leaving, people=found.people)
    await db.execute(
        update(Import)
        .where(Import.org_id == scope.org_id, Import.id == import_id)
        .values(state="confirmed", accepted_leaving=leaving)
    )
    await enqueue(db, MERGE_LARGE if found.rows_total >= LARGE_ROWS else MERGE, _make_payload(scope, import_id))
    after = {"leaving": leaving} if leaving is not None else None
    await record(db, scope.actor, "import.confirmed", org_id=scope.org_id, subject=("import", import_id), after=after)


async def cancel_import(db: AsyncConnection, scope: OrgScope, import_id: UUID) -> None:
    """Cancel an import. If its merge is running, the merge rolls back. Raises NotFound, ImportSettled.

    Locks the org and the import.
    """
    await lock_org_shared(db, scope)
    canceled = await db.scalar(
        update(Import)
        .where(Import.org_id == scope.org_id, Import.id == import_id, Import.state.not_in(FINISHED_STATES))
        .values(state="canceled", finished_at=func.now())
        .returning(Import.id)
    )
    if canceled is None:
        state = await db.scalar(select(Import.state).where(Import.org_id == scope.org_id, Import.id == import_id))
        if state is None:
            raise NotFound
        if state == "canceled":
            return
        raise ImportSettled(state=state)
    await db.execute(delete(ImportFile).where(ImportFile.org_id == scope.org_id, ImportFile.import_id == import_id))
    subject = ("import", import_id)
    await record(db, scope.actor, "import.canceled", org_id=scope.org_id, subject=subject)


def _make_payload(scope: OrgScope, import_id: UUID) -> dict[str, str]:
    return {"org_id": str(scope.org_id), "import_id": str(import_id)}
