"""Reads of what undoing an import would do."""

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Text, Uuid, column, select, text

from app.core.cipher import Cipher
from app.core.i18n import gettext, gettext_noop
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.members.imports.errors import ImportNotReversible
from app.members.imports.queries import get_import
from app.members.imports.reversals.former_phones import list_former_phones
from app.members.imports.reversals.schemas import BlockedPersonOut, BlockedReason, ReversalOut
from app.members.imports.reversals.statements import PEOPLE, bind_people

_TITLES = {
    BlockedReason.EDITED_SINCE: gettext_noop("导入之后又被修改"),
    BlockedReason.IS_ADMIN: gettext_noop("现在是学习管理员"),
    BlockedReason.PHONE_TAKEN: gettext_noop("原来的手机号码现在属于另一人"),
}

_COUNT = bind_people(
    text(f"""
SELECT count(*) FILTER (WHERE reason IS NULL) AS people, count(*) FILTER (WHERE reason IS NOT NULL) AS blocked
FROM ({PEOPLE}) AS people
""")  # noqa: S608 — a constant
)
_PEOPLE = (
    bind_people(text(PEOPLE))
    .columns(column("member_id", Uuid), column("name", Text), column("reason", Text))
    .subquery("people")
)


class _BlockedRow(NamedTuple):
    member_id: UUID
    name: str
    reason: str


_BLOCKED = PagedStatement(
    select(_PEOPLE.c.member_id, _PEOPLE.c.name, _PEOPLE.c.reason).where(_PEOPLE.c.reason.is_not(None)),
    _PEOPLE.c.member_id,
    row=_BlockedRow,
)


async def preview_reversal(db: Readable, cipher: Cipher, org_id: UUID, import_id: UUID) -> ReversalOut:
    """Return what undoing the import would do now. Raises NotFound, ImportNotReversible."""
    await _require_reversible(db, org_id, import_id)
    parameters = await _make_parameters(db, cipher, org_id, import_id)
    counted = (await db.execute(_COUNT, parameters)).one()
    return ReversalOut(people=counted.people, blocked=counted.blocked)


async def list_blocked_people(
    db: Readable, cipher: Cipher, org_id: UUID, import_id: UUID, paging: Paging
) -> Page[BlockedPersonOut]:
    """Return a page of the people for whom the import is not undone. Raises NotFound, ImportNotReversible."""
    await _require_reversible(db, org_id, import_id)
    found = await _BLOCKED.fetch(db, paging, **await _make_parameters(db, cipher, org_id, import_id))
    return Page[BlockedPersonOut].from_slice(found.map(_make_out))


async def _make_parameters(db: Readable, cipher: Cipher, org_id: UUID, import_id: UUID) -> dict[str, Any]:
    of_import = {"org_id": org_id, "import_id": import_id}
    return of_import | await list_former_phones(db, cipher, of_import, cipher.list_phone_indexes)


async def _require_reversible(db: Readable, org_id: UUID, import_id: UUID) -> None:
    if (await get_import(db, org_id, import_id)).reversible_until is None:
        raise ImportNotReversible


def _make_out(row: _BlockedRow) -> BlockedPersonOut:
    reason = BlockedReason(row.reason)
    return BlockedPersonOut(member_id=row.member_id, name=row.name, reason=reason, title=gettext(_TITLES[reason]))
