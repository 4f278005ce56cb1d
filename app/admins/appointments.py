"""The row that makes a user an admin of an org."""

from uuid import UUID

from sqlalchemy import bindparam, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.admins.errors import AlreadyAdmin
from app.database.db import on_constraint
from app.orgs.errors import PartyMemberRequired
from app.orgs.names import Kind
from app.schema.admins import OrgAdmin
from app.schema.auth import User
from app.schema.orgs import Org
from app.web.errors import Unauthorized

_HAS_LEFT_PARTY = (
    select(Org.id)
    .join(User, User.id == bindparam("user_id"))
    .where(Org.id == bindparam("org_id"), Org.kind == Kind.PARTY, ~User.party_member)
)


async def insert_admin(db: AsyncConnection, org_id: UUID, user_id: UUID) -> None:
    """Make a verified user an admin. A trigger locks the account FOR SHARE, so that it stays open until the commit.

    Raises AlreadyAdmin; Unauthorized if the account was closed after the request had been authorized, and
    PartyMemberRequired if the org is of the party and the user has meanwhile declared to have left the party (S2, S4).
    """
    with on_constraint(("org_admins_pkey", AlreadyAdmin), ("org_admins_verified", Unauthorized)):
        await db.execute(insert(OrgAdmin).values(org_id=org_id, user_id=user_id))
    # A statement of its own, because the one that waited for the lock has a snapshot from before the wait.
    if await db.scalar(_HAS_LEFT_PARTY, {"org_id": org_id, "user_id": user_id}) is not None:
        raise PartyMemberRequired
