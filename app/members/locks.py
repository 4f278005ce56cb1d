"""Steps that all writes of a member row share: lock the row, protect the rows of admins, increment the version."""

from typing import NamedTuple, Protocol
from uuid import UUID

from sqlalchemy import LargeBinary, Uuid, and_, bindparam, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.rows import one_or_404
from app.members.errors import MemberIsAdmin
from app.schema.admins import OrgAdmin
from app.schema.auth import User
from app.schema.members import Member
from app.web.etags import ReadVersion, require_version


class LockedMember(NamedTuple):
    """The values of a row when it was locked."""

    name: str
    party: bool
    probationary: bool
    post: str | None
    user_id: UUID | None
    phone_index: bytes | None
    phone_cipher: bytes | None
    version: int


class MemberIdentity(Protocol):
    """The columns of a member row that lead to the person's account."""

    @property
    def user_id(self) -> UUID | None: ...
    @property
    def phone_index(self) -> bytes | None: ...


_ORG_ID = bindparam("of_org", type_=Uuid())
_WHICH = (Member.org_id == _ORG_ID, Member.id == bindparam("member_id"))
_LOCK = (
    select(*(getattr(Member, name) for name in LockedMember._fields))
    .where(*_WHICH, Member.removed_at.is_(None))
    .with_for_update()
)
_INCREMENT_VERSION = update(Member).where(*_WHICH).values(version=Member.version + 1)
_HAS_LINKED_ROW = exists().where(Member.org_id == _ORG_ID, Member.user_id == User.id)
_IS_ADMIN = select(
    exists().where(
        OrgAdmin.org_id == _ORG_ID,
        OrgAdmin.user_id == User.id,
        or_(
            User.id == bindparam("user_id", type_=Uuid()),
            and_(User.phone_index == bindparam("phone_index", type_=LargeBinary()), ~_HAS_LINKED_ROW),
        ),
    )
)


async def lock_member(db: AsyncConnection, org_id: UUID, member_id: UUID, version: ReadVersion) -> LockedMember:
    """Lock the live row FOR UPDATE until the transaction ends, and return it.

    Raises NotFound, and EditedMeanwhile if the row does not have this version.
    """
    member = await one_or_404(db, _LOCK, LockedMember, {"of_org": org_id, "member_id": member_id})
    require_version(member.version, version)
    return member


async def increment_version(db: AsyncConnection, org_id: UUID, member_id: UUID) -> None:
    """Increment the row's version, so that a client with an older version cannot overwrite this write."""
    await db.execute(_INCREMENT_VERSION, {"of_org": org_id, "member_id": member_id})


async def is_admin(db: AsyncConnection, org_id: UUID, member: MemberIdentity) -> bool:
    """Return whether the row belongs to an admin of the org.

    It does if the row is linked to an admin's account, or if an admin has the row's phone and is linked to no row of
    the org. The second case is an admin whose account is suspended: the row is inactive, but it is still the admin's.
    """
    given = {"of_org": org_id, "user_id": member.user_id, "phone_index": member.phone_index}
    return bool(await db.scalar(_IS_ADMIN, given))


async def require_not_admin(db: AsyncConnection, org_id: UUID, member: MemberIdentity) -> None:
    """Raise MemberIsAdmin if the row belongs to an admin of the org."""
    if await is_admin(db, org_id, member):
        raise MemberIsAdmin
