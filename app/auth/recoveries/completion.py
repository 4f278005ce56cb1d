"""The end of a recovery's wait: the account gets the new phone. The worker calls this."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.auth.accounts.accounts import erase_account, get_phone, replace_phone
from app.auth.errors import PhoneTaken, StillAdmin
from app.auth.recovery_states import EndedRecovery, RecoveryKind, RecoveryState, record_end
from app.blind_index.keys import lock_index_key
from app.core.cipher import Cipher
from app.database.rows import fetch_row
from app.schema.auth import AccountRecovery, Operator, User


class _Refused(Exception):
    """The account cannot get the phone. The text is the reason."""


class _DueRecovery(NamedTuple):
    """A recovery whose wait is over."""

    id: UUID
    kind: str
    requester_id: UUID
    account_id: UUID
    phone_cipher: bytes | None


_THIS = AccountRecovery.id == bindparam("recovery_id")
_DUE = (
    AccountRecovery.state == RecoveryState.WAITING,
    AccountRecovery.kind != RecoveryKind.SIGN_IN,
    AccountRecovery.effective_at <= func.now(),
)
_FIND = select(
    AccountRecovery.id,
    AccountRecovery.kind,
    AccountRecovery.requester_id,
    AccountRecovery.account_id,
    AccountRecovery.phone_cipher,
).where(_THIS, *_DUE)
_LOCK_ACCOUNTS = (
    select(User.id).where(User.id.in_(bindparam("ids", expanding=True))).order_by(User.id).with_for_update()
)
_CLAIM = (
    update(AccountRecovery)
    .where(AccountRecovery.id == bindparam("of_recovery"), *_DUE)
    .values(state=RecoveryState.DONE, ended_at=func.now(), phone_cipher=None, secret_hash=None)
    .returning(AccountRecovery.id)
)


async def list_due_recoveries(db: AsyncConnection, limit: int) -> list[UUID]:
    """Return at most `limit` recoveries whose wait is over."""
    due = select(AccountRecovery.id).where(*_DUE).order_by(AccountRecovery.effective_at).limit(limit)
    return list((await db.scalars(due)).all())


async def complete_recovery(db: AsyncConnection, cipher: Cipher, recovery_id: UUID) -> str | None:
    """Give the account the new phone, end all its sessions, and close the account of a person who had begun a new one.
    Return the former phone of the account, which the caller informs; None if nothing was changed.

    The recovery is refused if another account has the new phone by now, or if one of the two accounts is not what it
    was. One that was stopped meanwhile stays as it is. Locks the index key, the accounts by id, the recovery, then the
    phones and the rows.
    """
    found = await fetch_row(db, _FIND, _DueRecovery, {"recovery_id": recovery_id})
    if found is None:
        return None
    await lock_index_key(db, cipher)
    await db.execute(_LOCK_ACCOUNTS, {"ids": list({found.account_id, found.requester_id})})
    if await db.scalar(_CLAIM, {"of_recovery": recovery_id}) is None:
        return None
    try:
        async with db.begin_nested():
            before = await _move_account(db, cipher, found)
    except _Refused as refused:
        reason = str(refused)
        refusal = update(AccountRecovery).where(AccountRecovery.id == recovery_id)
        await db.execute(refusal.values(state=RecoveryState.REFUSED, reason=reason))
        ended = EndedRecovery(found.id, found.kind, found.requester_id, found.account_id)
        await record_end(db, Actor(), ended, RecoveryState.REFUSED, reason)
        return None
    after = {"recovery_id": str(recovery_id)}
    await record(db, Actor(), "user.phone_changed", subject=("user", found.account_id), after=after)
    await record(db, Actor(), "account_recovery.done", subject=("account_recovery", recovery_id))
    return before


async def _move_account(db: AsyncConnection, cipher: Cipher, found: _DueRecovery) -> str | None:
    """Return the phone that the account had. Raises _Refused."""
    account, requester = await _read_user(db, found.account_id), await _read_user(db, found.requester_id)
    if account.status != "active" or account.verified_name is None or account.is_operator:
        raise _Refused("account-unavailable")
    before = None if account.phone_cipher is None else cipher.decrypt_text(account.phone_cipher, found.account_id)
    try:
        if found.kind == RecoveryKind.LOST_PHONE:
            if requester.status != "active" or requester.verified_name is not None or requester.is_operator:
                raise _Refused("requester-unavailable")
            phone = await get_phone(db, cipher, found.requester_id)
            await erase_account(db, cipher, Actor(), found.requester_id)
        else:
            assert found.phone_cipher is not None, "a waiting change of the phone has a phone"
            phone = cipher.decrypt_text(found.phone_cipher, found.id)
        await replace_phone(db, cipher, Actor(), found.account_id, phone, reason="account-recovered")
    except PhoneTaken:
        raise _Refused("phone-taken") from None
    except StillAdmin:
        raise _Refused("requester-unavailable") from None
    return before


class _UserRow(NamedTuple):
    """What decides whether an account can be recovered, or be given up for another."""

    status: str
    verified_name: str | None
    phone_cipher: bytes | None
    is_operator: bool


_READ_USER = select(
    User.status,
    User.verified_name,
    User.phone_cipher,
    exists().where(Operator.user_id == User.id, Operator.removed_at.is_(None)).label("is_operator"),
).where(User.id == bindparam("user_id"))


async def _read_user(db: AsyncConnection, user_id: UUID) -> _UserRow:
    found = await fetch_row(db, _READ_USER, _UserRow, {"user_id": user_id})
    assert found is not None, "accounts are never deleted"
    return found
