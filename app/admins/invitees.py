"""The invitee of an offer: an offer to be an admin of an org (S4), or to be the main admin of the org that a unit
becomes (S7).

An offer by phone reveals nothing about the phone. Neither the stored row nor the answer depends on whether a user has
the phone, or on whether that user is verified. An offer to a member is addressed to the account that the member row is
linked to. If the row has no account, the offer stores the member's name, and only a user with this verified name can
accept it, because another person may have the number by now (S18).
"""

from typing import Any, Self
from uuid import UUID

from pydantic import model_validator
from sqlalchemy import BindParameter, ColumnElement, and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.admins.errors import AlreadyAdmin, InviteeNameDiffers, UnknownMember
from app.approvals.kinds import Kind
from app.approvals.requests import finish_request
from app.audit_log.entries import record
from app.authz.access import UserScope
from app.blind_index.keys import lock_index_key
from app.core.cipher import Cipher
from app.core.i18n import gettext_noop
from app.core.phones import Phone
from app.members.encryption import decrypt_phone
from app.members.errors import MemberWithoutPhone
from app.schema.admins import OrgAdmin
from app.schema.approvals import Offer, State
from app.schema.auth import User
from app.schema.members import Member
from app.web.schemas import Body

NAME_DIFFERS = "name-differs"


class Invitee(Body):
    """The person to whom the offer is made: by phone, or by a member row of the org. The answer does not depend on
    whether a user has the phone."""

    phone: Phone | None = None
    member_id: UUID | None = None

    @model_validator(mode="after")
    def _require_exactly_one(self) -> Self:
        if (self.phone is None) == (self.member_id is None):
            raise ValueError(gettext_noop("请只填 phone 或 member_id 之一"))
        return self


async def build_invitee_columns(
    db: AsyncConnection, cipher: Cipher, org_id: UUID, invitee: Invitee, offer_id: UUID
) -> dict[str, Any]:
    """Return the columns of the offer that identify the invitee. Locks the index key.

    Raises UnknownMember, MemberWithoutPhone.
    """
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
        phone = decrypt_phone(cipher, row.phone_cipher, row.id)
        if phone is None:
            raise MemberWithoutPhone
        columns = {"invitee_name": row.name} if row.user_id is None else {"invitee_id": row.user_id}
    indexer = await lock_index_key(db, cipher)
    return {"phone_index": indexer.index_phone(phone), "phone_cipher": cipher.encrypt(phone, offer_id), **columns}


async def require_not_admin(db: AsyncConnection, org_id: UUID, columns: dict[str, Any]) -> None:
    """Require that the invitee with these columns is not an admin of the org. Raises AlreadyAdmin."""
    has_phone = User.phone_index == columns["phone_index"]
    is_invitee = User.id == columns["invitee_id"] if "invitee_id" in columns else has_phone
    if await db.scalar(select(exists().where(OrgAdmin.org_id == org_id, User.id == OrgAdmin.user_id, is_invitee))):
        raise AlreadyAdmin


def is_offered_to(table: type[Offer], user_id: UUID | BindParameter[UUID]) -> ColumnElement[bool]:
    """Return the SQL condition that an offer is addressed to this user. The condition is false for a closed account."""
    phone_index = select(User.phone_index).where(User.id == user_id).scalar_subquery()
    return or_(table.invitee_id == user_id, and_(table.invitee_id.is_(None), table.phone_index == phone_index))


async def decline_if_name_differs(
    db: AsyncConnection, kind: Kind, user: UserScope, org_id: UUID, offer_id: UUID
) -> InviteeNameDiffers | None:
    """Decline the offer if it is addressed to a member whose name is not the user's verified name.

    Return InviteeNameDiffers, or None if the user may accept. The error is returned and not raised, so that the
    declined offer is committed and the org can read the reason. The caller has checked that the offer can be decided.
    """
    assert issubclass(kind.table, Offer)
    name = select(kind.table.invitee_name).where(kind.table.id == offer_id).scalar_subquery()
    verified_name = select(User.verified_name).where(User.id == user.user_id).scalar_subquery()
    if not await db.scalar(select(func.name_key(name) != func.name_key(verified_name))):
        return None
    if await finish_request(db, kind, State.DECLINED, kind.table.id == offer_id, by=user.user_id, reason=NAME_DIFFERS):
        noun = kind.name.replace("-", "_")
        after, subject = {"reason": NAME_DIFFERS}, (kind.subject, offer_id)
        await record(
            db, user.actor.get_actor_for_other_org(), f"{noun}.declined", org_id=org_id, subject=subject, after=after
        )
    return InviteeNameDiffers()
