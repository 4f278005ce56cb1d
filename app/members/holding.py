"""What the writes of a person's row begin and end with: the row is held, an admin's is not taken away, its version."""

from typing import Any
from uuid import UUID

from sqlalchemy import and_, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.errors import NotFound
from app.core.etags import require_version
from app.members.errors import MemberIsAdmin
from app.schema.admins import OrgAdmin
from app.schema.auth import User
from app.schema.members import Member


async def lock_member(db: AsyncConnection, org_id: UUID, member_id: UUID, version: int | None) -> Any:
    """The live row, held until the transaction ends. Raises NotFound, EditedMeanwhile."""
    row = (
        await db.execute(
            select(Member.name, Member.party, Member.user_id, Member.phone_index, Member.phone_cipher, Member.version)
            .where(Member.org_id == org_id, Member.id == member_id, Member.removed_at.is_(None))
            .with_for_update()
        )
    ).one_or_none()
    if row is None:
        raise NotFound
    require_version(row.version, version)
    return row


async def touch(db: AsyncConnection, org_id: UUID, member_id: UUID) -> None:
    """Give the row a new version: who had read it must not overwrite what is written now."""
    await db.execute(
        update(Member).where(Member.org_id == org_id, Member.id == member_id).values(version=Member.version + 1)
    )


async def is_admin(db: AsyncConnection, org_id: UUID, member: Any) -> bool:
    """Whether the row is that of an admin of the org: the account behind it is one, or who holds its phone and stands
    behind no other row.

    The row of an admin whose account is suspended is inactive, and theirs all the same.
    """
    elsewhere = exists().where(Member.org_id == org_id, Member.user_id == User.id)
    theirs = or_(User.id == member.user_id, and_(User.phone_index == member.phone_index, ~elsewhere))
    admin = exists().where(OrgAdmin.org_id == org_id, OrgAdmin.user_id == User.id, theirs)
    return bool(await db.scalar(select(admin)))


async def refuse_admin(db: AsyncConnection, org_id: UUID, member: Any) -> None:
    """Raise MemberIsAdmin where it is."""
    if await is_admin(db, org_id, member):
        raise MemberIsAdmin
