"""What the writes of a person's row begin and end with: the row is held, an admin's is not taken away, its version."""

from typing import NamedTuple, Protocol
from uuid import UUID

from sqlalchemy import LargeBinary, Uuid, and_, bindparam, exists, or_, select, update
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


_ORG_ID = bindparam("of_org", type_=Uuid())
_WHICH = (Member.org_id == _ORG_ID, Member.id == bindparam("member_id"))
_LOCK = (
    select(Member.name, Member.party, Member.user_id, Member.phone_index, Member.phone_cipher, Member.version)
    .where(*_WHICH, Member.removed_at.is_(None))
    .with_for_update()
)
_TOUCH = update(Member).where(*_WHICH).values(version=Member.version + 1)
_ELSEWHERE = exists().where(Member.org_id == _ORG_ID, Member.user_id == User.id)
_IS_ADMIN = select(
    exists().where(
        OrgAdmin.org_id == _ORG_ID,
        OrgAdmin.user_id == User.id,
        or_(
            User.id == bindparam("user_id", type_=Uuid()),
            and_(User.phone_index == bindparam("phone_index", type_=LargeBinary()), ~_ELSEWHERE),
        ),
    )
)


async def lock_member(db: AsyncConnection, org_id: UUID, member_id: UUID, version: int | None) -> LockedMember:
    """Lock the live row until the transaction ends. Raises NotFound, EditedMeanwhile."""
    member = await one_or_404(db, _LOCK, LockedMember, {"of_org": org_id, "member_id": member_id})
    require_version(member.version, version)
    return member


async def touch(db: AsyncConnection, org_id: UUID, member_id: UUID) -> None:
    """Give the row a new version: who had read it must not overwrite what is written now."""
    await db.execute(_TOUCH, {"of_org": org_id, "member_id": member_id})


async def is_admin(db: AsyncConnection, org_id: UUID, member: Identified) -> bool:
    """Whether the row is that of an admin of the org: the account behind it is one, or who holds its phone and stands
    behind no other row.

    The row of an admin whose account is suspended is inactive, and theirs all the same.
    """
    given = {"of_org": org_id, "user_id": member.user_id, "phone_index": member.phone_index}
    return bool(await db.scalar(_IS_ADMIN, given))


async def refuse_admin(db: AsyncConnection, org_id: UUID, member: Identified) -> None:
    """Raise MemberIsAdmin where it is."""
    if await is_admin(db, org_id, member):
        raise MemberIsAdmin
