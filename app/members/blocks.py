"""Whether a user has blocked an org. `own.operations` blocks; `activation` links no row while a block lasts."""

from uuid import UUID

from sqlalchemy import Uuid, bindparam, delete, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.schema.own_rows import OrgBlock

_BLOCK = (
    OrgBlock.user_id == bindparam("of_user", type_=Uuid()),
    OrgBlock.org_id == bindparam("of_org", type_=Uuid()),
)
_IS_BLOCKED = select(exists().where(*_BLOCK))
_LIFT = delete(OrgBlock).where(*_BLOCK)


async def is_blocked(db: AsyncConnection, user_id: UUID, org_id: UUID) -> bool:
    """Return whether the user has blocked the org. The caller has locked the account."""
    return bool(await db.scalar(_IS_BLOCKED, {"of_user": user_id, "of_org": org_id}))


async def lift_block(db: AsyncConnection, user_id: UUID, org_id: UUID) -> bool:
    """End the user's block of the org, because they lift it, ask the org themselves or become its admin. Return whether
    there was one."""
    return (await db.execute(_LIFT, {"of_user": user_id, "of_org": org_id})).rowcount > 0
