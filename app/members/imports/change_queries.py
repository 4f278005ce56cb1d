"""Reads of the people whom an import changes, moves or removes."""

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import and_, bindparam, select

from app.core.cipher import Cipher
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.members.encryption import decrypt_masked_phone
from app.members.imports.change_texts import make_changes
from app.members.imports.schemas import ChangeOutcome, ImportChangeOut
from app.members.imports.sheet_contents import RowPlaces, get_places
from app.schema.imports import ImportChange, ImportRow


class _ChangeRecord(NamedTuple):
    member_id: UUID
    name: str
    outcome: str
    row_no: int | None
    before: dict[str, Any]
    after: dict[str, Any]
    new_phone: bool
    old_phone_cipher: bytes | None
    new_member_id: UUID | None
    phone_cipher: bytes | None


_CHANGES = (
    select(
        ImportChange.member_id,
        ImportChange.name,
        ImportChange.outcome,
        ImportChange.row_no,
        ImportChange.before,
        ImportChange.after,
        ImportChange.new_phone,
        ImportChange.phone_cipher.label("old_phone_cipher"),
        ImportRow.new_member_id,
        ImportRow.phone_cipher,
    )
    .outerjoin(
        ImportRow,
        and_(
            ImportRow.org_id == ImportChange.org_id,
            ImportRow.import_id == ImportChange.import_id,
            ImportRow.row_no == ImportChange.row_no,
        ),
    )
    .where(ImportChange.org_id == bindparam("org_id"), ImportChange.import_id == bindparam("import_id"))
)
_ALL_CHANGES = PagedStatement(_CHANGES, ImportChange.member_id, row=_ChangeRecord)
_CHANGES_BY_OUTCOME = PagedStatement(
    _CHANGES.where(ImportChange.outcome == bindparam("outcome")), ImportChange.member_id, row=_ChangeRecord
)


async def list_changes(
    db: Readable, cipher: Cipher, org_id: UUID, import_id: UUID, outcome: ChangeOutcome | None, paging: Paging
) -> Page[ImportChangeOut]:
    """Return a page of the people of the directory whom the import changes, moves or removes."""
    places = await get_places(db, org_id, import_id)
    parameters = {"org_id": org_id, "import_id": import_id} | ({} if outcome is None else {"outcome": outcome})
    found = await (_ALL_CHANGES if outcome is None else _CHANGES_BY_OUTCOME).fetch(db, paging, **parameters)
    return Page[ImportChangeOut].from_slice(found.map(lambda row: _make_change_out(cipher, places, row)))


def _make_change_out(cipher: Cipher, places: RowPlaces, row: _ChangeRecord) -> ImportChangeOut:
    phones = None
    if row.new_phone and row.new_member_id is not None:
        phones = (
            decrypt_masked_phone(cipher, row.old_phone_cipher, row.member_id),
            decrypt_masked_phone(cipher, row.phone_cipher, row.new_member_id),
        )
    return ImportChangeOut(
        member_id=row.member_id,
        name=row.name,
        outcome=row.outcome,
        row=None if row.row_no is None else places.find(row.row_no),
        changes=make_changes(row.before, row.after, phones),
    )
