"""Registration: the first sign-in of a phone creates its account."""

from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.blind_index.keys import lock_index_key
from app.core.cipher import Cipher
from app.core.ids import make_id
from app.members.activation import activate_user
from app.schema.auth import User


@dataclass(frozen=True, slots=True)
class UserAccount:
    """An account: its id and its status (`active` or `disabled`)."""

    id: UUID
    status: str


async def find_or_register_user(db: AsyncConnection, cipher: Cipher, actor: Actor, phone: str) -> UserAccount:
    """Return the account with this phone, and register it if there is none.

    The user has proved the phone to the caller of this function. Of several concurrent first sign-ins, one registers
    the account and all return it. The account's row is locked until the caller commits. So a concurrent suspension,
    closure or change of the phone commits before this function returns, or waits and then finds the session that starts
    now.
    """
    index = (await lock_index_key(db, cipher)).index_phone(phone)
    locked = select(User.id, User.status).where(User.phone_index == index).with_for_update(key_share=True)
    found = (await db.execute(locked)).one_or_none()
    if found is not None:
        return UserAccount(found.id, found.status)
    user_id = make_id()
    registered = await db.scalar(
        insert(User)
        .values(id=user_id, phone_index=index, phone_cipher=cipher.encrypt(phone, user_id))
        .on_conflict_do_nothing(index_elements=[User.phone_index])
        .returning(User.id)
    )
    if registered is None:
        found = (await db.execute(locked)).one()
        return UserAccount(found.id, found.status)
    await record(db, replace(actor, user_id=user_id), "user.registered", subject=("user", user_id))
    await activate_user(db, cipher, user_id)
    return UserAccount(user_id, "active")
