"""The rows of an account that loses its phone to a person who got the number from the carrier."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import LargeBinary, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, EntryOfMany, record_each
from app.database.rows import fetch_rows
from app.members.activation import enqueue_row_activations
from app.messages.delivery import add_message_to_admins
from app.messages.kinds import MessageKind

# The row of an admin stays linked: every admin is in the directory (S8), and the office belongs to the account.
_UNLINK = text("""
WITH locked AS MATERIALIZED (
    SELECT m.org_id, m.id, m.phone_index IS NOT DISTINCT FROM :phone_index AS has_phone,
        EXISTS (SELECT FROM org_admins AS o WHERE o.org_id = m.org_id AND o.user_id = m.user_id) AS is_admin
    FROM members AS m WHERE m.user_id = :user_id ORDER BY m.org_id, m.id FOR UPDATE OF m
), ended AS (
    UPDATE activations AS a SET until = clock_timestamp(), phone_lost = locked.has_phone FROM locked
    WHERE a.org_id = locked.org_id AND a.member_id = locked.id AND a.until IS NULL AND NOT locked.is_admin
), inactive AS (
    UPDATE members AS m SET user_id = NULL FROM locked
    WHERE m.org_id = locked.org_id AND m.id = locked.id AND NOT locked.is_admin
)
SELECT org_id, id AS member_id, has_phone, is_admin FROM locked ORDER BY org_id, id
""").bindparams(bindparam("user_id", type_=Uuid()), bindparam("phone_index", type_=LargeBinary()))


class _Row(NamedTuple):
    """A row that was linked to the account."""

    org_id: UUID
    member_id: UUID
    has_phone: bool
    is_admin: bool


async def unlink_lost_phone(db: AsyncConnection, actor: Actor, user_id: UUID, phone_index: bytes) -> None:
    """Make the rows of an account that has lost this phone inactive, except those of the orgs that it administers. The
    admins of each org get a message, and each row has an audit entry of its org.

    A row with this phone is linked to no other account until it has another phone or an admin consents. The caller has
    locked the account and the phone. Locks the rows.
    """
    rows = await fetch_rows(db, _UNLINK, _Row, {"user_id": user_id, "phone_index": phone_index})
    unlinked = [row for row in rows if not row.is_admin]
    entries = [EntryOfMany(row.org_id, row.member_id) for row in unlinked]
    await record_each(db, actor.get_actor_for_other_org(), "member.phone_recycled", "member", entries)
    for row in rows:
        kind = MessageKind.ADMIN_PHONE_RECYCLED if row.is_admin else MessageKind.MEMBER_PHONE_RECYCLED
        await add_message_to_admins(db, row.org_id, kind, actor_id=user_id)
    for row in unlinked:
        if not row.has_phone:
            # The user with the row's phone was ignored while this account was linked by consent.
            await enqueue_row_activations(db, row.org_id, row.member_id)
