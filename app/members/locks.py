"""What the writes of a person's row begin and end with: the row is held, an admin's is not taken away, its version."""

from typing import NamedTuple, Protocol
from uuid import UUID

from sqlalchemy import and_, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.rows import one_or_404
from app.members.errors import MemberIsAdmin
from app.schema.admins import OrgAdmin
from app.schema.auth import User
from app.schema.members import Member
from app.web.etags import require_version


class LockedMember(NamedTuple):
    """What a row was when it was locked."""

    name: str
    party: bool
    user_id: UUID | None
    phone_index: bytes
    phone_cipher: bytes
    version: int


class Identified(Protocol):
    """A row by which the account behind it is found."""

    @property
    def user_id(self) -> UUID | None: ...
    @property
    def phone_index(self) -> bytes: ...


async def lock_member(db: AsyncConnection, org_id: UUID, member_id: UUID, version: int | None) -> LockedMember:
    """Lock the live row until the transaction ends. Raises NotFound, EditedMeanwhile."""
    statement = (
        select(Member.name, Member.party, Member.user_id, Member.phone_index, Member.phone_cipher, Member.version)
        .where(Member.org_id == org_id, Member.id == member_id, Member.removed_at.is_(None))
        .with_for_update()
    )
    member = await one_or_404(db, statement, LockedMember)
    require_version(member.version, version)
    return member


async def touch(db: AsyncConnection, org_id: UUID, member_id: UUID) -> None:
    """Give the row a new version: who had read it must not overwrite what is written now."""
    await db.execute(
        update(Member).where(Member.org_id == org_id, Member.id == member_id).values(version=Member.version + 1)
    )


async def is_admin(db: AsyncConnection, org_id: UUID, member: Identified) -> bool:
    """Whether the row is that of an admin of the org: the account behind it is one, or who holds its phone and stands
    behind no other row.

    The row of an admin whose account is suspended is inactive, and theirs all the same.
    """
    elsewhere = exists().where(Member.org_id == org_id, Member.user_id == User.id)
    theirs = or_(User.id == member.user_id, and_(User.phone_index == member.phone_index, ~elsewhere))
    admin = exists().where(OrgAdmin.org_id == org_id, OrgAdmin.user_id == User.id, theirs)
    return bool(await db.scalar(select(admin)))


async def refuse_admin(db: AsyncConnection, org_id: UUID, member: Identified) -> None:
    """Raise MemberIsAdmin where it is."""
    if await is_admin(db, org_id, member):
        raise MemberIsAdmin
