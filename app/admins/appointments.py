"""The row that makes a user an admin of an org."""

from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.admins.errors import AlreadyAdmin
from app.database.db import on_constraint
from app.schema.admins import OrgAdmin
from app.web.errors import Unauthorized


async def insert_admin(db: AsyncConnection, org_id: UUID, user_id: UUID) -> None:
    """Make a verified user an admin. A trigger locks the account FOR SHARE, so that it stays open until the commit.

    Raises AlreadyAdmin; Unauthorized where the account was closed after the request had been authorized.
    """
    with on_constraint(("org_admins_pkey", AlreadyAdmin), ("org_admins_verified", Unauthorized)):
        await db.execute(insert(OrgAdmin).values(org_id=org_id, user_id=user_id))
