"""Platform operators: creation on the command line, recoveries and suspensions of users. Each action is audited."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Uuid, bindparam, delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.auth.accounts.registration import find_or_register_user
from app.auth.errors import IsOperator
from app.auth.sessions import end_sessions
from app.authz.access import OperatorScope
from app.core.cipher import Cipher, create_secret, hash_secret
from app.database.db import Readable
from app.database.rows import fetch_rows
from app.members.activation import activate_user
from app.messages.delivery import add_account_message
from app.messages.kinds import MessageKind
from app.schema.auth import Operator, SecurityKey, User
from app.web.errors import NotFound

ENROLMENT_LIFETIME = timedelta(days=1)


class NoSuchOperator(Exception):
    """No operator has this phone."""


class OperatorRow(NamedTuple):
    """An operator and the number of their security keys."""

    user_id: UUID
    name: str
    created_at: datetime
    keys: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """The result of a recovery."""

    user_id: UUID
    keys_removed: int
    sessions_ended: int


async def add_operator(db: AsyncConnection, cipher: Cipher, actor: Actor, phone: str, name: str) -> str:
    """Make the user with this phone a platform operator. Return the enrolment code for the first security key, which is
    valid for ENROLMENT_LIFETIME.

    If the user is an operator already, this is a recovery from lost keys: the function removes the keys, ends the
    sessions and makes a new code.
    """
    account = await find_or_register_user(db, cipher, actor, phone)
    code = create_secret()
    expires_at = func.now() + ENROLMENT_LIFETIME
    columns = {
        "name": name,
        "enrolment_hash": hash_secret(code),
        "enrolment_expires_at": expires_at,
        "removed_at": None,
    }
    await db.execute(
        insert(Operator)
        .values(user_id=account.id, **columns)
        .on_conflict_do_update(index_elements=[Operator.user_id], set_=columns)
    )
    if await remove_keys(db, account.id):
        await add_account_message(db, account.id, MessageKind.SECURITY_KEYS_RECOVERED)
    await end_sessions(db, actor, account.id, reason="operator-enrolment")
    await record(db, actor, "operator.enrolled", subject=("user", account.id))
    return code


async def remove_operator(db: AsyncConnection, cipher: Cipher, actor: Actor, phone: str) -> None:
    """Remove an operator. Their next call as an operator is refused. Raises NoSuchOperator."""
    user_with_phone = select(User.id).where(User.phone_index.in_(cipher.list_phone_indexes(phone))).scalar_subquery()
    removed = await db.scalar(
        update(Operator)
        .where(Operator.user_id == user_with_phone, Operator.removed_at.is_(None))
        .values(removed_at=func.now(), enrolment_hash=None)
        .returning(Operator.user_id)
    )
    if removed is None:
        raise NoSuchOperator
    await record(db, actor, "operator.removed", subject=("user", removed))


async def list_operators(db: AsyncConnection) -> Sequence[OperatorRow]:
    """Return the current operators, the oldest first."""
    keys = select(func.count()).where(SecurityKey.user_id == Operator.user_id).scalar_subquery()
    statement = (
        select(Operator.user_id, Operator.name, Operator.created_at, keys.label("keys"))
        .where(Operator.removed_at.is_(None))
        .order_by(Operator.created_at)
    )
    return await fetch_rows(db, statement, OperatorRow)


_OPERATOR = select(
    exists().where(Operator.user_id == bindparam("user_id", type_=Uuid()), Operator.removed_at.is_(None))
)


async def is_operator(db: Readable, user_id: UUID) -> bool:
    """Return whether the user is an operator."""
    return bool((await db.execute(_OPERATOR, {"user_id": user_id})).scalar_one())


async def remove_keys(db: AsyncConnection, user_id: UUID) -> int:
    """Remove all security keys of a user. Return their number."""
    removed = await db.scalars(delete(SecurityKey).where(SecurityKey.user_id == user_id).returning(SecurityKey.id))
    return len(removed.all())


async def lock_user_by_phone(db: AsyncConnection, cipher: Cipher, phone: str) -> UUID:
    """Lock the user with this phone FOR UPDATE and return the id. Raises NotFound."""
    statement = select(User.id).where(User.phone_index.in_(cipher.list_phone_indexes(phone))).with_for_update()
    user_id: UUID | None = await db.scalar(statement)
    if user_id is None:
        raise NotFound
    return user_id


async def _lock_user(db: AsyncConnection, user_id: UUID) -> None:
    """Lock the user FOR UPDATE. Raises NotFound (also for a closed account), IsOperator."""
    live = select(User.id).where(User.id == user_id, User.status != "closed")
    if await db.scalar(live.with_for_update()) is None:
        raise NotFound
    if await is_operator(db, user_id):
        raise IsOperator


async def recover_keys(db: AsyncConnection, scope: OperatorScope, user_id: UUID, *, reason: str) -> Recovery:
    """Remove all security keys and end all sessions of a user who has lost the keys.

    The user signs in by phone again and registers a first key. Raises NotFound, and IsOperator: operators are
    recovered on the command line.
    """
    await _lock_user(db, user_id)
    keys = await remove_keys(db, user_id)
    sessions = await end_sessions(db, scope.actor, user_id, reason="key-recovery")
    await add_account_message(db, user_id, MessageKind.SECURITY_KEYS_RECOVERED)
    after = {"reason": reason, "keys_removed": keys}
    await record(db, scope.actor, "security_keys.recovered", subject=("user", user_id), after=after)
    return Recovery(user_id, keys, sessions)


async def suspend_user(
    db: AsyncConnection, cipher: Cipher, scope: OperatorScope, user_id: UUID, *, reason: str
) -> None:
    """Suspend a user until `restore_user`: the user's next call is refused. Raises NotFound, IsOperator."""
    await _lock_user(db, user_id)
    await db.execute(update(User).where(User.id == user_id).values(status="disabled"))
    await end_sessions(db, scope.actor, user_id, reason="suspended")
    await activate_user(db, cipher, user_id)
    await record(db, scope.actor, "user.suspended", subject=("user", user_id), after={"reason": reason})


async def restore_user(db: AsyncConnection, cipher: Cipher, scope: OperatorScope, user_id: UUID) -> None:
    """End the suspension of a user. Raises NotFound."""
    suspended = update(User).where(User.id == user_id, User.status == "disabled")
    if await db.scalar(suspended.values(status="active").returning(User.id)) is None:
        raise NotFound
    await activate_user(db, cipher, user_id)
    await record(db, scope.actor, "user.restored", subject=("user", user_id))
