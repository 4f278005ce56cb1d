"""Restoration of a removed member within thirty days: the row, the unit memberships and the link to the account."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, func, literal_column, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.blind_index.keys import lock_index_key
from app.core.cipher import Cipher
from app.database.db import Readable, on_constraint
from app.database.paging import Page, PagedStatement, Paging
from app.database.rows import one_or_404
from app.members import queries
from app.members.activation import activate_member, lock_accounts_and_phones
from app.members.encryption import decrypt_masked_phone
from app.members.errors import PhoneExists
from app.members.schemas import MemberOut, RemovedMemberOut
from app.orgs.locks import lock_org_shared
from app.schema.members import Member

_RECENTLY = Member.removed_at > func.now() - literal_column("interval '30 days'")

# The removal ends all unit memberships of a member at one instant. These are restored if their units still exist.
_RESTORE_MEMBERSHIPS = text("""
WITH previous AS (
    SELECT DISTINCT p.unit_id, p.position
    FROM unit_memberships AS p LEFT JOIN units AS u ON u.org_id = p.org_id AND u.id = p.unit_id
    WHERE p.org_id = :org_id AND p.member_id = :member_id AND p.until = CAST(:removed_at AS timestamptz)
      AND (p.unit_id IS NULL OR u.removed_at IS NULL)
)
INSERT INTO unit_memberships (org_id, member_id, unit_id, position)
SELECT :org_id, :member_id, unit_id, position FROM previous
UNION ALL
SELECT :org_id, :member_id, NULL, NULL WHERE NOT EXISTS (SELECT FROM previous)
ON CONFLICT DO NOTHING
""")


class _RemovedRow(NamedTuple):
    id: UUID
    name: str
    phone_cipher: bytes | None
    removed_at: datetime


_REMOVED = PagedStatement(
    select(Member.id, Member.name, Member.phone_cipher, Member.removed_at).where(
        Member.org_id == bindparam("org_id"), _RECENTLY
    ),
    Member.id,
    row=_RemovedRow,
)


async def list_removed_members(db: Readable, cipher: Cipher, org_id: UUID, paging: Paging) -> Page[RemovedMemberOut]:
    """Return a page of the removed people who can still be restored."""

    def build_removed_member(row: _RemovedRow) -> RemovedMemberOut:
        phone = decrypt_masked_phone(cipher, row.phone_cipher, row.id)
        return RemovedMemberOut(id=row.id, name=row.name, phone=phone, removed_at=row.removed_at)

    found = await _REMOVED.fetch(db, paging, org_id=org_id)
    return Page[RemovedMemberOut].from_slice(found.map(build_removed_member))


_WHICH = (Member.org_id == bindparam("of_org"), Member.id == bindparam("member_id"))
_LOCK_REMOVED = select(Member.name, Member.removed_at).where(*_WHICH, _RECENTLY).with_for_update()
_RESTORE = update(Member).where(*_WHICH).values(removed_at=None, version=Member.version + 1)


async def restore_member(db: AsyncConnection, cipher: Cipher, scope: OrgScope, member_id: UUID) -> MemberOut:
    """Restore a removed member in the units that still exist, or at the org itself if there are none.

    Locks the org, the account and the phone, then the row. Raises NotFound (also after thirty days), and PhoneExists
    if the phone is in the directory again.
    """
    await lock_org_shared(db, scope)
    await lock_index_key(db, cipher)
    await lock_accounts_and_phones(db, of_member=(scope.org_id, member_id))
    parameters = {"of_org": scope.org_id, "member_id": member_id}
    removed = await one_or_404(db, _LOCK_REMOVED, parameters=parameters)
    with on_constraint(("members_org_id_phone_index_key", PhoneExists)):
        await db.execute(_RESTORE, parameters)
    removal = {"org_id": scope.org_id, "member_id": member_id, "removed_at": removed.removed_at}
    await db.execute(_RESTORE_MEMBERSHIPS, removal)
    await activate_member(db, scope.org_id, member_id, active=False)
    subject, after = ("member", member_id), {"name": removed.name}
    await record(db, scope.actor, "member.restored", org_id=scope.org_id, subject=subject, after=after)
    return await queries.get_member(db, cipher, scope.org_id, member_id)
