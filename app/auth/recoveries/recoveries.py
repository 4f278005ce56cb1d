"""Requests for the recovery of an account, and stopping one."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import exists, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.auth.errors import AlreadyVerified, CodeRefused, IsOperator, PhoneTaken, RecoveryEnded, RecoveryOpen
from app.auth.phone_codes.codes import CodeCheck, GivenCode, Purpose, check_phone_code
from app.auth.rate_limits import Limit, take_token
from app.auth.recoveries.queries import VISIBLE, get_recovery
from app.auth.recoveries.schemas import AccountRecoveryOut
from app.auth.recovery_states import RecoveryKind, RecoveryState, end_recoveries
from app.auth.verification.schemas import VerificationCreate
from app.auth.verification.verifications import ONLINE_LIFETIME, begin_proof
from app.authz.access import UserScope
from app.blind_index.keys import lock_index_key
from app.core.cipher import Cipher, hash_secret
from app.core.ids import make_id
from app.database.db import on_constraint
from app.schema.auth import AccountRecovery, Operator, User

REVIEW_TIME = timedelta(days=30)
"""How long a recovery waits for the review of an ID card."""
# A stranger who knows a name and a number fills the operators' queue with a few attempts only.
USER_LIMIT = Limit("recovery-user", burst=5, every=timedelta(hours=2))


async def request_phone_change(
    db: AsyncConnection, cipher: Cipher, scope: UserScope, *, phone: str, given: GivenCode, proof: VerificationCreate
) -> tuple[AccountRecoveryOut, str | None] | CodeRefused:
    """Request that the user's account gets this phone, without a code to the present one. Return the recovery, with the
    reference of the proof at a provider.

    CodeRefused is returned, not raised, so that a wrong code is counted. Raises RealNameRequired if the account has no
    real name to prove, IsOperator, RecoveryOpen, VerificationOpen, PhoneTaken, TooManyRequests.
    """
    scope.require_real_name()
    await _require_allowed(db, scope)
    checked = await check_phone_code(
        db, cipher, scope.actor, phone=phone, purpose=Purpose.CHANGE_PHONE, given=given, bound_to=str(scope.user_id)
    )
    if checked is not CodeCheck.RIGHT:
        return CodeRefused()
    index = (await lock_index_key(db, cipher)).index_phone(phone)
    # An early answer to the owner of the phone. The unique index decides when the wait is over.
    if await db.scalar(select(exists().where(User.phone_index == index))):
        raise PhoneTaken
    recovery_id = make_id()
    await _insert(
        db,
        scope,
        proof,
        id=recovery_id,
        kind=RecoveryKind.PHONE_CHANGE,
        account_id=scope.user_id,
        phone_cipher=cipher.encrypt(phone, recovery_id),
    )
    return await _start(db, cipher, scope, recovery_id, proof)


async def request_lost_account(
    db: AsyncConnection, cipher: Cipher, scope: UserScope, proof: VerificationCreate
) -> tuple[AccountRecoveryOut, str | None]:
    """Request that the account with the user's real name gets the phone of the user's present account, which is closed
    then. Return the recovery, with the reference of the proof at a provider.

    Which account it is, and whether there is one, is known only after the proof. Raises AlreadyVerified if the present
    account has a real name, IsOperator, RecoveryOpen, VerificationOpen, TooManyRequests.
    """
    if scope.verified_name is not None:
        raise AlreadyVerified
    await _require_allowed(db, scope)
    recovery_id = make_id()
    await _insert(db, scope, proof, id=recovery_id, kind=RecoveryKind.LOST_PHONE)
    return await _start(db, cipher, scope, recovery_id, proof)


async def stop_recovery(db: AsyncConnection, scope: UserScope, recovery_id: UUID) -> None:
    """Stop a recovery that the user requested or that is about their account. A repeated stop changes nothing.

    Locks the recovery only: the worker that applies it at the same time waits and then leaves it, or has been first.
    Raises NotFound, RecoveryEnded.
    """
    own = (AccountRecovery.id == recovery_id, VISIBLE.params(user_id=scope.user_id))
    if await end_recoveries(db, scope.actor, RecoveryState.STOPPED, "stopped", *own):
        return
    if (await get_recovery(db, scope, recovery_id)).state != RecoveryState.STOPPED.value:
        raise RecoveryEnded


async def stop_recovery_by_link(db: AsyncConnection, actor: Actor, secret: str) -> bool:
    """Stop the recovery that waits, by the link in the SMS to the account's present phone. Return False if the link is
    unknown or its recovery has ended."""
    by_link = (AccountRecovery.secret_hash == hash_secret(secret), AccountRecovery.kind != RecoveryKind.SIGN_IN)
    return bool(await end_recoveries(db, actor, RecoveryState.STOPPED, "stopped-by-link", *by_link))


async def _require_allowed(db: AsyncConnection, scope: UserScope) -> None:
    operating = exists().where(Operator.user_id == scope.user_id, Operator.removed_at.is_(None))
    if await db.scalar(select(operating)):
        raise IsOperator
    await take_token(db, USER_LIMIT, str(scope.user_id))


async def _insert(db: AsyncConnection, scope: UserScope, proof: VerificationCreate, /, **values: object) -> None:
    overdue = (AccountRecovery.requester_id == scope.user_id, AccountRecovery.state == RecoveryState.PROVING)
    await end_recoveries(
        db, Actor(), RecoveryState.EXPIRED, "not-proved", *overdue, AccountRecovery.expires_at < func.now()
    )
    lifetime = REVIEW_TIME if proof.by_card else ONLINE_LIFETIME
    values |= {"requester_id": scope.user_id, "expires_at": func.now() + lifetime}
    with on_constraint(("account_recoveries_one_of_requester_key", RecoveryOpen)):
        await db.execute(insert(AccountRecovery).values(values))


async def _start(
    db: AsyncConnection, cipher: Cipher, scope: UserScope, recovery_id: UUID, proof: VerificationCreate
) -> tuple[AccountRecoveryOut, str | None]:
    reference = (await begin_proof(db, cipher, scope.actor, scope.user_id, proof, recovery_id)).reference
    recovery = await get_recovery(db, scope, recovery_id)
    after = {"kind": recovery.kind, "method": proof.method}
    await record(db, scope.actor, "account_recovery.requested", subject=("account_recovery", recovery_id), after=after)
    return recovery, reference
