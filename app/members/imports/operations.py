"""Writes of imports: upload, confirmation and cancellation."""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Integer, Uuid, bindparam, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.blind_index.keys import BlindIndexer, lock_index_key
from app.core.cipher import Cipher
from app.database.rows import one_or_404
from app.members.imports.errors import (
    ImportNotReady,
    ImportPreviewStale,
    ImportSettled,
    RemovalsNeedConsent,
    RowNotUndecided,
)
from app.members.imports.files import store_file
from app.members.imports.jobs import CHECK, CHECK_LARGE, LARGE_BYTES, LARGE_ROWS, MERGE, MERGE_LARGE
from app.members.imports.previews import decide_outcomes, needs_consent, store_preview
from app.members.imports.schemas import FINISHED_STATES, ConfirmationUpdate
from app.members.imports.staging.changes import count_unseen_changes
from app.members.imports.staging.outcomes import compute_directory_digest
from app.members.imports.staging.plan import ImportPlan
from app.members.imports.staging.units import list_new_units
from app.members.imports.uploads import Upload, inspect_upload
from app.orgs.errors import UnknownUnit
from app.orgs.locks import lock_org_shared
from app.queue.jobs import enqueue
from app.schema.imports import Import, ImportFile
from app.schema.orgs import Unit
from app.web.errors import NotFound

_IS_UNIT = select(Unit.id).where(
    Unit.org_id == bindparam("of_org", type_=Uuid()),
    Unit.id == bindparam("of_unit", type_=Uuid()),
    Unit.removed_at.is_(None),
)


async def create_import(db: AsyncConnection, cipher: Cipher, scope: OrgScope, upload: Upload) -> UUID:
    """Store a sheet encrypted and enqueue its check. Return the import's id.

    Locks the org. Raises a SheetRefused if `inspect_upload` finds that the file cannot be read, and UnknownUnit if the
    unit to replace is not a unit of the org.
    """
    kind = await asyncio.to_thread(inspect_upload, upload.file_name, upload.file)
    await lock_org_shared(db, scope)
    if (
        upload.unit_id is not None
        and await db.scalar(_IS_UNIT, {"of_org": scope.org_id, "of_unit": upload.unit_id}) is None
    ):
        raise UnknownUnit
    import_id: UUID = (
        await db.execute(
            insert(Import)
            .values(
                org_id=scope.org_id,
                mode=upload.mode,
                unit_id=upload.unit_id,
                units=upload.units,
                unknown_units=upload.unknown_units,
                reading_options={"fill_units": upload.fill_units},
                format=kind,
                file_name=upload.file_name,
                created_by=scope.user.user_id,
            )
            .returning(Import.id)
        )
    ).scalar_one()
    size = await store_file(db, cipher, scope.org_id, import_id, upload.file)
    await enqueue(db, CHECK_LARGE if size >= LARGE_BYTES else CHECK, _make_payload(scope, import_id))
    after = {
        "mode": upload.mode,
        "unit_id": None if upload.unit_id is None else str(upload.unit_id),
        "other_units": upload.units,
        "unknown_units": upload.unknown_units,
        "format": kind,
        "file_name": upload.file_name,
    }
    await record(db, scope.actor, "import.uploaded", org_id=scope.org_id, subject=("import", import_id), after=after)
    return import_id


class _ReadyImport(NamedTuple):
    """The columns of an import that is confirmed or edited."""

    state: str
    mode: str
    unit_id: UUID | None
    units: str
    unknown_units: str
    preview: int
    leaving: int
    people: int
    unidentified: int
    rows_total: int
    new_units: list[str]
    directory_digest: str | None

    def make_plan(self, org_id: UUID, import_id: UUID) -> ImportPlan:
        return ImportPlan(org_id, import_id, self.mode, self.unit_id, self.units, self.unknown_units)


_OF_IMPORT = (Import.org_id == bindparam("of_org", type_=Uuid()), Import.id == bindparam("of_import", type_=Uuid()))
_LOCK_IMPORT = select(*(getattr(Import, name) for name in _ReadyImport._fields)).where(*_OF_IMPORT).with_for_update()


async def lock_ready_import(db: AsyncConnection, org_id: UUID, import_id: UUID) -> _ReadyImport:
    """Lock the import and return it. The caller has locked the org and the index key. Raises NotFound."""
    return await one_or_404(db, _LOCK_IMPORT, _ReadyImport, {"of_org": org_id, "of_import": import_id})


async def confirm_import(
    db: AsyncConnection, cipher: Cipher, scope: OrgScope, import_id: UUID, body: ConfirmationUpdate
) -> ImportPreviewStale | None:
    """Confirm a checked import and enqueue its merge. Confirming it again changes nothing.

    If the import would now do something that the preview does not show, it gets a new preview instead, and the problem
    is returned: the transaction must commit. Locks the org, the index key and the import. Raises NotFound,
    ImportNotReady, ImportPreviewStale if the request confirms another preview, RemovalsNeedConsent if it does not
    confirm exactly the people who leave, and RowNotUndecided.
    """
    await lock_org_shared(db, scope)
    indexer = await lock_index_key(db, cipher)
    found = await lock_ready_import(db, scope.org_id, import_id)
    if found.state in {"confirmed", "merging", "done"}:
        return None
    if found.state != "ready":
        raise ImportNotReady(state=found.state)
    if body.preview != found.preview:
        raise make_stale_preview(scope.org_id, import_id, found.preview, found.leaving, found.people)
    is_consent_needed = needs_consent(found.leaving, found.people, found.unidentified)
    if body.leaving != found.leaving and (is_consent_needed or body.leaving is not None):
        href = make_leaving_href(scope.org_id, import_id)
        raise RemovalsNeedConsent(leaving=found.leaving, people=found.people, list_href=href)
    await _store_decisions(db, scope.org_id, import_id, body)
    plan = found.make_plan(scope.org_id, import_id)
    stale = await _refresh_preview(db, indexer, plan, found)
    if stale is not None:
        return stale
    confirmed = {"state": "confirmed", "accepted_leaving": body.leaving}
    await update_import(db, scope.org_id, import_id, confirmed)
    await enqueue(db, MERGE_LARGE if found.rows_total >= LARGE_ROWS else MERGE, _make_payload(scope, import_id))
    after = {"leaving": body.leaving} if body.leaving is not None else None
    await record(db, scope.actor, "import.confirmed", org_id=scope.org_id, subject=("import", import_id), after=after)
    return None


_DECIDE_ROWS = text("""
UPDATE import_rows AS i SET decision = CASE WHEN i.row_no = ANY (:separate) THEN 'separate' ELSE 'accepted' END
WHERE i.org_id = :org_id AND i.import_id = :import_id AND i.outcome = 'undecided'
  AND i.row_no = ANY (:accepted || :separate)
  AND (i.member_id IS NOT NULL OR i.row_no = ANY (:separate))
  AND (i.problems @> ARRAY['person-has-other-phone'] OR i.row_no = ANY (:accepted))
""").bindparams(bindparam("accepted", type_=ARRAY(Integer)), bindparam("separate", type_=ARRAY(Integer)))
_FORGET_DECISIONS = text("""
UPDATE import_rows SET decision = NULL
WHERE org_id = :org_id AND import_id = :import_id AND decision IS NOT NULL
""")


async def _store_decisions(db: AsyncConnection, org_id: UUID, import_id: UUID, body: ConfirmationUpdate) -> None:
    """Store the decisions about undecided rows. Raises RowNotUndecided."""
    accepted, separate = set(body.accepted_rows), set(body.separate_rows)
    parameters = {"org_id": org_id, "import_id": import_id}
    await db.execute(_FORGET_DECISIONS, parameters)
    if not accepted and not separate:
        return
    decided = await db.execute(_DECIDE_ROWS, parameters | {"accepted": list(accepted), "separate": list(separate)})
    if accepted & separate or decided.rowcount != len(accepted | separate):
        raise RowNotUndecided


async def _refresh_preview(
    db: AsyncConnection, indexer: BlindIndexer, plan: ImportPlan, found: _ReadyImport
) -> ImportPreviewStale | None:
    """Store a new preview and return the problem, if the import would do what the stored preview does not show."""
    digest = await compute_directory_digest(db, plan)
    if digest == found.directory_digest:
        return None
    await decide_outcomes(db, indexer, plan)
    new_units = set(await list_new_units(db, with_undecided=True)) - set(found.new_units)
    if not new_units and not await count_unseen_changes(db, plan):
        return None
    preview = await store_preview(db, plan, digest)
    await update_import(db, plan.org_id, plan.id, preview.values)
    counts = preview.counts
    return make_stale_preview(plan.org_id, plan.id, found.preview + 1, counts.leaving, counts.people)


def make_leaving_href(org_id: UUID, import_id: UUID) -> str:
    """Return the path of the list of the people who leave."""
    return f"/v1/orgs/{org_id}/imports/{import_id}/changes?outcome=left"


def make_stale_preview(org_id: UUID, import_id: UUID, preview: int, leaving: int, people: int) -> ImportPreviewStale:
    """Return the problem with the numbers of the present preview."""
    href = make_leaving_href(org_id, import_id)
    return ImportPreviewStale(preview=preview, leaving=leaving, people=people, list_href=href)


async def update_import(db: AsyncConnection, org_id: UUID, import_id: UUID, values: Mapping[str, Any]) -> None:
    """Set columns of the import, which the caller has locked."""
    await db.execute(update(Import).where(Import.org_id == org_id, Import.id == import_id).values(**values))


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
