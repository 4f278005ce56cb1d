"""Asking somebody by phone, without learning who they are (S4, S7).

Whether the phone is registered, and whether its holder is verified, shows in nothing: the same is stored and the same
is answered. The holder finds what waits for them by their own phone.
"""

from typing import Self
from uuid import UUID

from pydantic import model_validator
from sqlalchemy import ScalarSelect, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.admins.errors import UnknownMember
from app.core.cipher import Cipher
from app.core.phones import Phone
from app.schema.auth import User
from app.schema.members import Member
from app.web.schemas import Body


class Invitee(Body):
    """Whom to ask: by phone, or by their row among the org's members. The answer is the same whoever it is."""

    phone: Phone | None = None
    member_id: UUID | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.phone is None) == (self.member_id is None):
            raise ValueError("give either phone or member_id")
        return self


async def phone_of_invitee(db: AsyncConnection, cipher: Cipher, org_id: UUID, invitee: Invitee) -> str:
    """The phone to ask. Raises UnknownMember."""
    if invitee.phone is not None:
        return invitee.phone
    row = (
        await db.execute(
            select(Member.id, Member.phone_cipher).where(
                Member.org_id == org_id, Member.id == invitee.member_id, Member.removed_at.is_(None)
            )
        )
    ).one_or_none()
    if row is None:
        raise UnknownMember
    return cipher.decrypt_text(row.phone_cipher, row.id)


def phone_index_of(user_id: UUID) -> ScalarSelect[bytes | None]:
    """By what a user finds the things that wait for them, inside the statement that looks for them; none once the
    account is closed."""
    return select(User.phone_index).where(User.id == user_id).scalar_subquery()
