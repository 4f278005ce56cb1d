"""Undoing an import (S9)."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.blind_index.keys import BlindIndexer, lock_index_key
from app.core.cipher import Cipher
from app.core.search import spell_person
from app.database.rows import fetch_rows, one_or_404
from app.members.activation import activate_rows, enqueue_row_activations, enqueue_user_activations
from app.members.encryption import decrypt_phone
from app.members.imports.errors import ImportEditedSince, ImportNotReversible
from app.members.imports.retention import REVERSIBLE
from app.members.imports.reversals import statements
from app.members.imports.reversals.former_phones import OldPhone, list_former_phones
from app.members.imports.reversals.schemas import ReversalOut
from app.members.imports.row_problems import MAX_UNIT_DEPTH
from app.members.superseded_requests import supersede_requests_of_removed
from app.orgs.locks import lock_orgs_for_edit
from app.schema.imports import Import


class _OldName(NamedTuple):
    member_id: UUID
    name: str


async def reverse_import(
    db: AsyncConnection, cipher: Cipher, scope: OrgScope, import_id: UUID, *, partial: bool
) -> ReversalOut:
    """Undo an import of the last day: added people are removed, and all others get back what they had.

    People who were edited since then are not changed. Locks the org for edit, the index key and the members. Raises
    NotFound, ImportNotReversible, and ImportEditedSince if some people were edited since and it is not `partial`.
    """
    await lock_orgs_for_edit(db, scope)
    indexer = await lock_index_key(db, cipher)
    of_import = (Import.org_id == scope.org_id, Import.id == import_id)
    found = await one_or_404(
        db,
        select(
            Import.state,
            Import.file_name,
            Import.finished_at,
            Import.reversed_at,
            (Import.finished_at > func.now() - REVERSIBLE).label("recent"),
        ).where(*of_import),
    )
    if found.state != "done" or found.reversed_at is not None or not found.recent:
        raise ImportNotReversible
    given = {"org_id": scope.org_id, "import_id": import_id}
    org = {"org_id": scope.org_id}
    await db.execute(statements.LOCK_MEMBERS, given)
    former = await list_former_phones(db, cipher, given, lambda phone: [indexer.index_phone(phone)])
    await db.execute(statements.STAGE, given | former)
    await db.execute(statements.ANALYZE)
    phones = await _list_old_phones(db, indexer, scope.org_id)
    counted = ReversalOut(**(await db.execute(statements.COUNT)).one()._mapping)
    if counted.blocked and not partial:
        raise ImportEditedSince(blocked=counted.blocked)
    linked = (await db.scalars(statements.REMOVE_ADDED, org)).all()
    await enqueue_user_activations(db, linked)
    if phones["ids"]:
        await db.execute(statements.END_ACTIVATIONS, org)
        await db.execute(statements.SET_PHONES, org | phones)
    await _restore_names(db, scope.org_id)
    await db.execute(statements.RESTORE_VALUES, org)
    at = org | {"at": found.finished_at}
    await db.execute(statements.END_MEMBERSHIPS, at)
    await db.execute(statements.RESTORE_MEMBERSHIPS, at)
    await db.execute(statements.PLACE_AT_ORG, org)
    restored = "SELECT member_id FROM undone WHERE reason IS NULL AND outcome IN ('changed', 'left')"
    await activate_rows(db, f"m.org_id = :org_id AND m.id IN ({restored})", org)
    await enqueue_row_activations(db, scope.org_id)
    await supersede_requests_of_removed(db, scope.org_id, scope.actor)
    reversed_now = {"reversed_at": func.now(), "reversed_by": scope.user.user_id}
    await db.execute(update(Import).where(*of_import).values(**reversed_now))
    actor = {
        "user_id": scope.actor.user_id,
        "client_id": scope.actor.client_id,
        "address": scope.actor.address,
        "request_id": scope.actor.request_id,
    }
    await db.execute(statements.RECORD_CHANGES, given | actor | {"file_name": found.file_name})
    await _remove_units(db, scope, given)
    after = counted.model_dump() | {"file_name": found.file_name}
    await record(db, scope.actor, "import.reversed", org_id=scope.org_id, subject=("import", import_id), after=after)
    return counted


async def _list_old_phones(db: AsyncConnection, indexer: BlindIndexer, org_id: UUID) -> dict[str, Any]:
    """Return the phones that people had before the import, as the columns of their rows."""

    def compute(rows: Sequence[OldPhone]) -> dict[str, Any]:
        phones = [decrypt_phone(indexer.cipher, row.phone_cipher, row.member_id) for row in rows]
        return {
            "ids": [row.member_id for row in rows],
            "ciphers": [row.phone_cipher for row in rows],
            "phones": [None if phone is None else indexer.index_phone(phone) for phone in phones],
            "last4s": [None if phone is None else indexer.index_last4(org_id, phone) for phone in phones],
        }

    return await asyncio.to_thread(compute, await fetch_rows(db, statements.OLD_PHONES, OldPhone))


async def _restore_names(db: AsyncConnection, org_id: UUID) -> None:
    def spell(rows: Sequence[_OldName]) -> dict[str, Any]:
        spelled = [spell_person(row.name) for row in rows]
        return {
            "org_id": org_id,
            "ids": [row.member_id for row in rows],
            "names": [row.name for row in rows],
            "pinyins": [spelling.pinyin for spelling in spelled],
            "initials": [spelling.initials for spelling in spelled],
        }

    rows = await fetch_rows(db, statements.OLD_NAMES, _OldName)
    if rows:
        await db.execute(statements.SET_NAMES, await asyncio.to_thread(spell, rows))


async def _remove_units(db: AsyncConnection, scope: OrgScope, given: dict[str, UUID]) -> None:
    """Remove the units that the import has created, as far as they are empty and unchanged."""
    for _ in range(MAX_UNIT_DEPTH):
        removed = (await db.execute(statements.REMOVE_UNITS, given)).all()
        for unit in removed:
            before = {"name": unit.name, "kind": unit.kind}
            subject = ("unit", unit.id)
            await record(db, scope.actor, "unit.removed", org_id=scope.org_id, subject=subject, before=before)
        if not removed:
            return
