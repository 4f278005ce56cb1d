"""Registration: the first sign-in of a phone creates its account."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import LargeBinary, Uuid, and_, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.blind_index.keys import lock_index_key
from app.core.cipher import Cipher
from app.core.ids import make_id
from app.database.rows import fetch_row
from app.members.activation import activate_user
from app.schema.auth import Session, User


@dataclass(frozen=True, slots=True)
class UserAccount:
    """An account: its id, its status (`active` or `disabled`), and whether it is verified and was not used for
    SILENCE."""

    id: UUID
    status: str
    is_silent: bool = False


SILENCE = timedelta(days=180)
"""How long a verified account is unused until a person with its phone proves the real name before they get in. Carriers
give a number that was returned to another person after some months."""

_LAST_USE = func.greatest(
    func.coalesce(User.phone_since, User.created_at),
    User.verified_at,
    select(func.max(Session.refreshed_at)).where(Session.user_id == User.id).correlate(User).scalar_subquery(),
)
_IS_SILENT = and_(User.verified_at.is_not(None), func.now() - SILENCE > _LAST_USE).label("is_silent")
_READ_SILENCE = select(_IS_SILENT).where(User.id == bindparam("user_id", type_=Uuid()))
_FIND_BY_PHONE = (
    select(User.id, User.status, _IS_SILENT)
    .where(User.phone_index == bindparam("phone_index", type_=LargeBinary()))
    .with_for_update(key_share=True, of=User)
)


class _FoundRow(NamedTuple):
    """The columns of a UserAccount."""

    id: UUID
    status: str
    is_silent: bool


async def is_account_silent(db: AsyncConnection, user_id: UUID) -> bool:
    """Return whether the account is verified and was not used for SILENCE."""
    return bool(await db.scalar(_READ_SILENCE, {"user_id": user_id}))


async def find_or_register_user(db: AsyncConnection, cipher: Cipher, actor: Actor, phone: str) -> UserAccount:
    """Return the account with this phone, and register it if there is none.

    The user has proved the phone to the caller of this function. Of several concurrent first sign-ins, one registers
    the account and all return it. The account's row is locked until the caller commits. So a concurrent suspension,
    closure or change of the phone commits before this function returns, or waits and then finds the session that starts
    now.
    """
    index = (await lock_index_key(db, cipher)).index_phone(phone)
    found = await fetch_row(db, _FIND_BY_PHONE, _FoundRow, {"phone_index": index})
    if found is not None:
        return UserAccount(*found)
    user_id = make_id()
    registered = await db.scalar(
        insert(User)
        .values(id=user_id, phone_index=index, phone_cipher=cipher.encrypt(phone, user_id))
        .on_conflict_do_nothing(index_elements=[User.phone_index])
        .returning(User.id)
    )
    if registered is None:
        found = await fetch_row(db, _FIND_BY_PHONE, _FoundRow, {"phone_index": index})
        assert found is not None, "another sign-in has registered the phone"
        return UserAccount(*found)
    await record(db, replace(actor, user_id=user_id), "user.registered", subject=("user", user_id))
    await activate_user(db, cipher, user_id)
    return UserAccount(user_id, "active")
