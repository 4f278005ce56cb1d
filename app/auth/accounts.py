"""What a user does with their own account."""

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.operations import record
from app.auth.access import UserScope
from app.auth.tables import User


async def declare_party_member(db: AsyncConnection, scope: UserScope, party_member: bool) -> None:
    """The user's own declaration of being a party member (S2, S17); said again it changes nothing."""
    changed = await db.scalar(
        update(User)
        .where(User.id == scope.user_id, User.party_member != party_member)
        .values(party_member=party_member)
        .returning(User.id)
    )
    if changed is not None:
        await record(
            db,
            scope.actor,
            "user.updated",
            subject=("user", scope.user_id),
            before={"party_member": not party_member},
            after={"party_member": party_member},
        )
