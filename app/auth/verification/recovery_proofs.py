"""What an approved proof of the real name does for an account recovery."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import LargeBinary, bindparam, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.auth.recovery_states import WAIT, RecoveryKind, RecoveryState, end_recoveries
from app.database.db import on_constraint
from app.messages.delivery import add_account_message
from app.messages.kinds import MessageKind
from app.queue.jobs import enqueue
from app.schema.auth import AccountRecovery, Operator, User

NOTICE = "recovery-notice"
"""The job that tells the account's present phone of a recovery that waits."""

_FIND_ACCOUNT = (
    select(
        User.id,
        exists().where(Operator.user_id == User.id, Operator.removed_at.is_(None)).label("is_operator"),
    )
    .where(
        User.id_number_index == bindparam("id_number_index", type_=LargeBinary()),
        User.status == "active",
        func.name_key(User.verified_name) == func.name_key(bindparam("name")),
    )
    .with_for_update(read=True, of=User)
)


class _AnotherWaits(Exception):
    """Another recovery of the account waits."""


async def prove_recovery(
    db: AsyncConnection, actor: Actor, recovery_id: UUID, name: str, id_number_index: bytes
) -> None:
    """Find the account that this person has verified. The recovery waits from now on, and the account gets a
    message; or it is refused. One that has ended meanwhile stays as it is.

    The caller has locked the index key. Locks the account FOR SHARE, then the recovery.
    """
    found = (await db.execute(_FIND_ACCOUNT, {"name": name, "id_number_index": id_number_index})).one_or_none()
    this = AccountRecovery.id == recovery_id
    kind, account_id = (await db.execute(select(AccountRecovery.kind, AccountRecovery.account_id).where(this))).one()
    refusal = None
    if kind == RecoveryKind.LOST_PHONE:
        refusal = "no-account" if found is None else None
    elif found is None or found.id != account_id:
        refusal = "identity-differs"
    if found is not None and found.is_operator and kind != RecoveryKind.SIGN_IN:
        refusal = "is-operator"
    if refusal is None and found is not None:
        try:
            async with db.begin_nested():
                if await _let_wait(db, recovery_id, found.id, timedelta(0) if kind == RecoveryKind.SIGN_IN else WAIT):
                    await _announce(db, actor, recovery_id, found.id, kind)
        except _AnotherWaits:
            refusal = "another-waiting"
    if refusal is not None:
        await end_recoveries(db, actor, RecoveryState.REFUSED, refusal, this)


async def _let_wait(db: AsyncConnection, recovery_id: UUID, account_id: UUID, wait: timedelta) -> bool:
    waiting = (
        update(AccountRecovery)
        .where(
            AccountRecovery.id == recovery_id,
            AccountRecovery.state == RecoveryState.PROVING,
            AccountRecovery.expires_at > func.now(),
        )
        .values(state=RecoveryState.WAITING, account_id=account_id, effective_at=func.now() + wait)
        .returning(AccountRecovery.id)
    )
    with on_constraint(("account_recoveries_one_of_account_key", _AnotherWaits)):
        return await db.scalar(waiting) is not None


async def _announce(db: AsyncConnection, actor: Actor, recovery_id: UUID, account_id: UUID, kind: str) -> None:
    await record(db, actor, "account_recovery.proved", subject=("account_recovery", recovery_id))
    if kind != RecoveryKind.SIGN_IN:
        await add_account_message(db, account_id, MessageKind.ACCOUNT_RECOVERY_WAITING)
        await enqueue(db, NOTICE, {"recovery_id": str(recovery_id)})
