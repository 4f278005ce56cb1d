"""Offering something to one person: to be an admin of the org (S4), to be main admin of a unit that becomes one (S7).

An offer by phone says nothing about who has the phone: whether anybody does, and whether they are verified, changes
neither what is stored nor the answer. An offer to a member goes to the account that the member row is linked to. A row
without an account names its person with the offer, and only a user of that verified name accepts it: the number may
have been given to somebody else (S18).
"""

from typing import Any, Self
from uuid import UUID

from pydantic import model_validator
from sqlalchemy import BindParameter, ColumnElement, and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.admins.errors import AlreadyAdmin, InviteeNameDiffers, UnknownMember
from app.approvals.kinds import Kind
from app.approvals.requests import finish
from app.audit_log.entries import record
from app.authz.access import UserScope
from app.blind_index.keys import lock_index_key
from app.core.cipher import Cipher
from app.core.i18n import gettext_noop
from app.core.phones import Phone
from app.schema.admins import OrgAdmin
from app.schema.approvals import Offer, State
from app.schema.auth import User
from app.schema.members import Member
from app.web.schemas import Body

NAME_DIFFERS = "name-differs"


class Invitee(Body):
    """Whom to ask: by phone, or by their row among the org's members. The answer is the same whoever it is."""

    phone: Phone | None = None
    member_id: UUID | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.phone is None) == (self.member_id is None):
            raise ValueError(gettext_noop("请只填 phone 或 member_id 之一"))
        return self


async def invitee_columns(
    db: AsyncConnection, cipher: Cipher, org_id: UUID, invitee: Invitee, offer_id: UUID
) -> dict[str, Any]:
    """The columns of the offer that say to whom it is made. Takes the lock of the index key. Raises UnknownMember."""
    phone, columns = invitee.phone, {}
    if phone is None:
        row = (
            await db.execute(
                select(Member.id, Member.phone_cipher, Member.user_id, Member.name).where(
                    Member.org_id == org_id, Member.id == invitee.member_id, Member.removed_at.is_(None)
                )
            )
        ).one_or_none()
        if row is None:
            raise UnknownMember
        phone = cipher.decrypt_text(row.phone_cipher, row.id)
        columns = {"invitee_name": row.name} if row.user_id is None else {"invitee_id": row.user_id}
    indexer = await lock_index_key(db, cipher)
    return {"phone_index": indexer.index_phone(phone), "phone_cipher": cipher.encrypt(phone, offer_id), **columns}


async def refuse_admin_as_invitee(db: AsyncConnection, org_id: UUID, columns: dict[str, Any]) -> None:
    """Raises AlreadyAdmin where the offer would be made to an admin of the org."""
    by_phone = User.phone_index == columns["phone_index"]
    same = User.id == columns["invitee_id"] if "invitee_id" in columns else by_phone
    if await db.scalar(select(exists().where(OrgAdmin.org_id == org_id, User.id == OrgAdmin.user_id, same))):
        raise AlreadyAdmin


def is_offered_to(table: type[Offer], user_id: UUID | BindParameter[UUID]) -> ColumnElement[bool]:
    """Whether the offer is made to this user; not to one whose account is closed."""
    phone_index = select(User.phone_index).where(User.id == user_id).scalar_subquery()
    return or_(table.invitee_id == user_id, and_(table.invitee_id.is_(None), table.phone_index == phone_index))


async def decline_of_other_name(
    db: AsyncConnection, kind: Kind, user: UserScope, org_id: UUID, offer_id: UUID
) -> InviteeNameDiffers | None:
    """Decline the offer where it names a member whose name is not the user's verified name.

    Returns the refusal, which is to be given back and not raised, so that the declined offer is committed: the org sees
    it with its reason. None: the user may accept. The caller has seen that the offer can be decided.
    """
    assert issubclass(kind.table, Offer)
    name = select(kind.table.invitee_name).where(kind.table.id == offer_id).scalar_subquery()
    verified = select(User.verified_name).where(User.id == user.user_id).scalar_subquery()
    if not await db.scalar(select(func.name_key(name) != func.name_key(verified))):
        return None
    if await finish(db, kind, State.DECLINED, kind.table.id == offer_id, reason=NAME_DIFFERS):
        noun = kind.name.replace("-", "_")
        after, subject = {"reason": NAME_DIFFERS}, (kind.subject, offer_id)
        await record(db, user.actor.elsewhere(), f"{noun}.declined", org_id=org_id, subject=subject, after=after)
    return InviteeNameDiffers()
