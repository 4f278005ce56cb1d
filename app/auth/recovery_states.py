"""The ends of account recoveries: stopped, refused or expired. Table: `account_recoveries`.

A recovery ends once: each statement here changes only one that is open. The packages that start recoveries, prove
names, change phones and close accounts use this module.
"""

from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, delete, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.database.rows import fetch_rows
from app.messages.delivery import add_account_message
from app.messages.kinds import MessageKind
from app.schema.auth import AccountRecovery, Verification, VerificationPicture

WAIT = timedelta(hours=72)
"""How long the account's owner can stop a change of the phone that was requested with a real name."""


class RecoveryState(StrEnum):
    PROVING = "proving"
    WAITING = "waiting"
    DONE = "done"
    REFUSED = "refused"
    STOPPED = "stopped"
    EXPIRED = "expired"


class RecoveryKind(StrEnum):
    PHONE_CHANGE = "phone-change"
    LOST_PHONE = "lost-phone"
    SIGN_IN = "sign-in"


OPEN = AccountRecovery.state.in_((RecoveryState.PROVING, RecoveryState.WAITING))
_OF_SIGN_IN = AccountRecovery.kind == RecoveryKind.SIGN_IN
_UNPROVED = and_(OPEN, or_(AccountRecovery.state == RecoveryState.PROVING, _OF_SIGN_IN))
_REFUSED_SIGN_IN = and_(
    _OF_SIGN_IN, AccountRecovery.state == RecoveryState.REFUSED, AccountRecovery.secret_hash.is_not(None)
)
_FORGOTTEN = {"id_number_cipher": None, "provider_token": None, "provider_url": None}
_ENDS = {
    RecoveryState.REFUSED: MessageKind.ACCOUNT_RECOVERY_REFUSED,
    RecoveryState.STOPPED: MessageKind.ACCOUNT_RECOVERY_STOPPED,
}


class EndedRecovery(NamedTuple):
    """A recovery that has just ended."""

    id: UUID
    kind: str
    requester_id: UUID | None
    account_id: UUID | None


async def end_proofs(db: AsyncConnection, reason: str, *conditions: ColumnElement[bool]) -> None:
    """End the open verifications that would prove the recoveries that match the conditions, and erase their numbers
    and pictures."""
    open_states = ("started", "submitted", "under-review")
    recoveries = select(AccountRecovery.id).where(*conditions)
    ending = (Verification.recovery_id.in_(recoveries), Verification.state.in_(open_states))
    of_ending = VerificationPicture.verification_id.in_(select(Verification.id).where(*ending))
    await db.execute(delete(VerificationPicture).where(of_ending))
    await db.execute(
        update(Verification).where(*ending).values(state="rejected", reason=reason, decided_at=func.now(), **_FORGOTTEN)
    )


async def end_recoveries(
    db: AsyncConnection, actor: Actor, state: RecoveryState, reason: str, *conditions: ColumnElement[bool]
) -> list[EndedRecovery]:
    """End the open recoveries that match the conditions, and their verifications that wait for a review. Return them.

    The requester gets a message, and where a recovery is stopped, the account too. Erases the new phone. Locks the
    verifications, then the recoveries.
    """
    await end_proofs(db, state, OPEN, *conditions)
    # A person whose proof was refused at a sign-in can still begin an account of their own.
    keeps = and_(literal(state is RecoveryState.REFUSED), AccountRecovery.kind == RecoveryKind.SIGN_IN)
    ending = (
        update(AccountRecovery)
        .where(OPEN, *conditions)
        .values(
            state=state,
            reason=reason,
            ended_at=func.now(),
            phone_cipher=case((keeps, AccountRecovery.phone_cipher), else_=None),
            secret_hash=case((keeps, AccountRecovery.secret_hash), else_=None),
        )
        .returning(AccountRecovery.id, AccountRecovery.kind, AccountRecovery.requester_id, AccountRecovery.account_id)
    )
    ended = await fetch_rows(db, ending, EndedRecovery)
    for recovery in ended:
        await record_end(db, actor, recovery, state, reason)
    return ended


async def record_end(
    db: AsyncConnection, actor: Actor, recovery: EndedRecovery, state: RecoveryState, reason: str
) -> None:
    """Write the audit entry and the messages of a recovery that has ended without effect."""
    subject = ("account_recovery", recovery.id)
    await record(db, actor, f"account_recovery.{state}", subject=subject, after={"reason": reason})
    if state not in _ENDS or recovery.kind == RecoveryKind.SIGN_IN:
        return
    readers = {recovery.requester_id, recovery.account_id if state is RecoveryState.STOPPED else None}
    for user_id in sorted(user_id for user_id in readers if user_id is not None):
        await add_account_message(db, user_id, _ENDS[state])


async def expire_recoveries(db: AsyncConnection, limit: int) -> int:
    """End at most `limit` recoveries whose name was not proved in time, and sign-ins that were not ended in time. Erase
    the phones of refused sign-ins. Return the number of recoveries."""
    overdue = (
        select(AccountRecovery.id)
        .where(AccountRecovery.expires_at < func.now(), or_(_UNPROVED, _REFUSED_SIGN_IN))
        .limit(limit)
    )
    found = list((await db.scalars(overdue)).all())
    this = AccountRecovery.id.in_(found)
    await end_recoveries(db, Actor(), RecoveryState.EXPIRED, "not-proved", this, _UNPROVED)
    nothing = {"phone_cipher": None, "secret_hash": None}
    await db.execute(update(AccountRecovery).where(this, _REFUSED_SIGN_IN).values(nothing))
    return len(found)
